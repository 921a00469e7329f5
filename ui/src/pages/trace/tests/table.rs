use super::*;

#[tokio::test]
async fn the_table_says_in_columns_what_the_timeline_shows() {
    let table = page(checkout(), "?view=table").await;
    assert_eq!(
        table.texts("#rows th"),
        [
            "Service",
            "Operation",
            "Start",
            "Duration",
            "Self time",
            "Critical time ↓",
            "Status"
        ]
    );
    let rows = [
        "inventory lock wait 58 ms 152 ms 152 ms 152 ms",
        "payments POST /charge 230 ms 150 ms 150 ms 150 ms ✕ error",
        "inventory GET /stock ◀ SLOWEST HOP 20 ms 200 ms 48 ms 48 ms",
        "gateway POST /checkout 0 390 ms 40 ms 40 ms",
        "pricing POST /quote 21 ms 39 ms 39 ms",
    ];
    let cells = table.texts("#rows tbody td");
    let cells: Vec<String> = cells
        .chunks(7)
        .map(|row| row.join(" ").trim().to_owned())
        .collect();
    assert_eq!(cells, rows);
    assert_eq!(table.texts("#st"), ["all 5 spans shown"]);
    assert_eq!(table.texts("#tg, .legend, .ax").len(), 0);
    assert_eq!(table.attributes(".skip", "href"), ["#rows"]);
    assert_eq!(
        table.attributes(".verdict a", "href"),
        ["#s-0000000000000002"]
    );
    let href = format!("/trace/{ID}?view=table&page=1&span=0000000000000003#s-0000000000000003");
    assert_eq!(table.attributes("#rows td a", "href")[0], href);
}

#[tokio::test]
async fn the_table_is_sorted_by_what_its_heads_link_to() {
    let by_critical = page(checkout(), "?view=table").await;
    let orders = by_critical.attributes("th[aria-sort]", "aria-sort");
    assert_eq!(orders, ["descending"]);
    let names =
        ["start", "duration", "self"].map(|sort| format!("/trace/{ID}?view=table&sort={sort}"));
    let hrefs = by_critical.attributes("th a", "href");
    assert_eq!(hrefs[..3], names);
    let services = async |query: &str| page(checkout(), query).await.texts("td.sw");
    assert_eq!(
        services("?view=table&sort=start").await,
        ["gateway", "inventory", "pricing", "inventory", "payments"]
    );
    assert_eq!(
        services("?view=table&sort=duration").await,
        ["gateway", "inventory", "inventory", "payments", "pricing"]
    );
    assert_eq!(
        services("?view=table&sort=self").await,
        ["inventory", "payments", "inventory", "gateway", "pricing"]
    );
}

#[tokio::test]
async fn the_tables_pages_have_every_span_once() {
    let trace = calls(1_000);
    let n = trace.len();
    let site = site([trace]);
    let mut ids = BTreeSet::new();
    for number in 1..=6 {
        let page = get(&site, &format!("/trace/{ID}?view=table&page={number}")).await;
        ids.extend(page.attributes("#rows tbody tr", "id"));
    }
    assert_eq!(ids.len(), n);
}
