//! Exceptions as the languages of the shop print them.

/// An exception, as its event has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exception {
    pub(super) kind: &'static str,
    pub(super) message: &'static str,
    pub(super) stack: &'static str,
}

/// Java, in inventory.
pub(super) const NULL_STOCK: Exception = Exception {
    kind: "java.lang.NullPointerException",
    message: "Cannot invoke \"com.example.shop.inventory.Warehouse.region()\" because \"warehouse\" is null",
    stack: r#"java.lang.NullPointerException: Cannot invoke "com.example.shop.inventory.Warehouse.region()" because "warehouse" is null
	at com.example.shop.inventory.StockService.nearestWarehouse(StockService.java:141)
	at com.example.shop.inventory.StockService.reserve(StockService.java:88)
	at com.example.shop.inventory.StockController.stock(StockController.java:52)
	at java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)
	at java.base/java.lang.reflect.Method.invoke(Method.java:580)
	at org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:258)
	at org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1089)
	at jakarta.servlet.http.HttpServlet.service(HttpServlet.java:590)
	at org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:110)
	at org.apache.tomcat.util.threads.TaskThread$WrappingRunnable.run(TaskThread.java:63)
	at java.base/java.lang.Thread.run(Thread.java:1583)"#,
};

/// C#, in pricing.
pub(super) const NO_RATE: Exception = Exception {
    kind: "System.Collections.Generic.KeyNotFoundException",
    message: "The given key 'GBP' was not present in the dictionary.",
    stack: r"System.Collections.Generic.KeyNotFoundException: The given key 'GBP' was not present in the dictionary.
   at System.Collections.Generic.Dictionary`2.get_Item(TKey key)
   at Shop.Pricing.CurrencyTable.RateFor(String currency) in /src/Pricing/CurrencyTable.cs:line 47
   at Shop.Pricing.QuoteHandler.QuoteAsync(QuoteRequest request, CancellationToken cancel) in /src/Pricing/QuoteHandler.cs:line 83
   at Shop.Pricing.Endpoints.<>c.<<MapQuote>b__0_0>d.MoveNext() in /src/Pricing/Endpoints.cs:line 21
--- End of stack trace from previous location ---
   at Microsoft.AspNetCore.Routing.EndpointMiddleware.<Invoke>g__AwaitRequestTask|7_0(Endpoint endpoint, Task requestTask, ILogger logger)
   at Microsoft.AspNetCore.Server.Kestrel.Core.Internal.Http.HttpProtocol.ProcessRequests[TContext](IHttpApplication`1 application)",
};

/// Python, in payments.
pub(super) const READ_TIMEOUT: Exception = Exception {
    kind: "httpx.ReadTimeout",
    message: "The read operation timed out",
    stack: r#"Traceback (most recent call last):
  File "/app/.venv/lib/python3.13/site-packages/httpx/_transports/default.py", line 101, in map_httpcore_exceptions
    yield
  File "/app/.venv/lib/python3.13/site-packages/httpx/_transports/default.py", line 394, in handle_async_request
    resp = await self._pool.handle_async_request(req)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/.venv/lib/python3.13/site-packages/httpcore/_async/http11.py", line 136, in handle_async_request
    raise exc
httpcore.ReadTimeout

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/payments/acme.py", line 58, in charge
    response = await self._client.post("/v2/charges", json=body, timeout=1.0)
  File "/app/.venv/lib/python3.13/site-packages/httpx/_client.py", line 1730, in _send_single_request
    response = await transport.handle_async_request(request)
  File "/app/.venv/lib/python3.13/site-packages/httpx/_transports/default.py", line 118, in map_httpcore_exceptions
    raise mapped_exc(message) from exc
httpx.ReadTimeout: The read operation timed out"#,
};

/// TypeScript, in the gateway.
pub(super) const UPSTREAM_FAILED: Exception = Exception {
    kind: "UpstreamError",
    message: "checkout answered 500",
    stack: r"UpstreamError: checkout answered 500
    at CheckoutClient.placeOrder (/app/dist/clients/checkout.js:64:13)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
    at async postCheckout (/app/dist/routes/checkout.js:31:19)
    at async Layer.handleRequest (/app/node_modules/router/lib/layer.js:152:17)",
};
