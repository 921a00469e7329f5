//! The statements the shop's services run.

use super::calls::Statement;

pub(super) const SELECT_FEATURED: Statement = Statement::postgres(
    "SELECT",
    "featured_product",
    "SELECT product_id FROM featured_product WHERE shelf = $1 ORDER BY rank LIMIT 30",
);
pub(super) const SELECT_PRODUCT: Statement = Statement::postgres(
    "SELECT",
    "product",
    "SELECT id, name, description, price_cents, image_url FROM product WHERE id = $1",
);
pub(super) const SEARCH_PRODUCTS: Statement = Statement {
    system: "opensearch",
    address: ("search-shop.internal", 9200),
    operation: "search",
    table: "products",
    text: r#"{"query":{"multi_match":{"query":"?","fields":["name^3","description"]}},"size":24}"#,
};
pub(super) const SELECT_STOCK: Statement = Statement::postgres(
    "SELECT",
    "stock",
    "SELECT sku, available, reserved FROM stock WHERE sku = ANY($1) FOR UPDATE",
);
pub(super) const SELECT_CART: Statement = Statement::postgres(
    "SELECT",
    "cart_item",
    "SELECT sku, quantity, added_at FROM cart_item WHERE cart_id = $1 ORDER BY added_at",
);
pub(super) const INSERT_CART_ITEM: Statement = Statement::postgres(
    "INSERT",
    "cart_item",
    "INSERT INTO cart_item (cart_id, sku, quantity) VALUES ($1, $2, $3) ON CONFLICT (cart_id, sku) DO UPDATE SET quantity = cart_item.quantity + $3",
);
pub(super) const INSERT_ORDER: Statement = Statement::postgres(
    "INSERT",
    "order",
    r#"INSERT INTO "order" (id, customer_id, total_cents, currency) VALUES ($1, $2, $3, $4)"#,
);
pub(super) const INSERT_CHARGE: Statement = Statement::postgres(
    "INSERT",
    "charge",
    "INSERT INTO charge (id, order_id, provider, provider_ref, amount_cents) VALUES ($1, $2, $3, $4, $5)",
);
pub(super) const INSERT_AUDIT: Statement = Statement::postgres(
    "INSERT",
    "audit_event",
    "INSERT INTO audit_event (actor, action, subject, at) SELECT * FROM unnest($1, $2, $3, $4)",
);
pub(super) const SELECT_LEDGER: Statement = Statement {
    system: "oracle.db",
    address: ("ora-erp.corp.internal", 1521),
    operation: "SELECT",
    table: "GL_ENTRIES",
    text: "SELECT * FROM GL_ENTRIES E, CUSTOMERS C WHERE E.CUST_NO = C.CUST_NO(+) AND TO_CHAR(E.POSTED, 'YYYYMM') = :1",
};
