//! One text a number, and order without rounding.

use longpole_proto::Attributes;
use proptest::prelude::*;

use super::*;

fn texts(value: impl Into<AttributeValue>) -> Vec<String> {
    let mut texts = Vec::new();
    canonical_texts(&value.into(), |text| texts.push(text.to_owned()));
    texts.sort_unstable();
    texts
}

fn text(value: impl Into<AttributeValue>) -> String {
    texts(value).join(" | ")
}

#[test]
fn a_number_has_one_text_whatever_its_type() {
    use AttributeValue::Double;

    assert_eq!(text(500), "500");
    assert_eq!(text("500"), "500");
    assert_eq!(text(Double(500.0)), "500");
    assert_eq!(text(Double(-0.0)), "0");
    assert_eq!(text(Double(0.1)), "0.1");
    assert_eq!(text(Double(-2.5)), "-2.5");
    assert_eq!(text(i64::MIN), "-9223372036854775808");
    assert_eq!(
        text(Double(-9_223_372_036_854_775_808.0)),
        text(i64::MIN),
        "whole numbers of any size are exact"
    );
    assert_ne!(
        text(Double(9_007_199_254_740_992.0)),
        text(9_007_199_254_740_993)
    );
    assert_eq!(text(Double(1e20)), "100000000000000000000");
    assert_eq!(text(Double(f64::INFINITY)), "inf");
    assert_eq!(text(true), "true");
}

#[test]
fn text_stays_as_it_is_so_that_versions_stay_apart() {
    assert_eq!(text("1.10"), "1.10");
    assert_eq!(text("500.0"), "500.0");
    assert_eq!(text(""), "");
}

#[test]
fn what_equals_nothing_has_no_text() {
    let mut map = Attributes::default();
    map.push("key", "value");
    for value in [
        AttributeValue::Empty,
        AttributeValue::Double(f64::NAN),
        AttributeValue::Bytes(b"bytes".to_vec()),
        AttributeValue::Array(Vec::new()),
        AttributeValue::Map(map),
    ] {
        assert_eq!(texts(value.clone()), Vec::<String>::new(), "{value:?}");
    }
    assert_eq!(Value::Double(f64::NAN).canonical_text(), None);
}

#[test]
fn a_list_has_the_texts_of_its_elements_at_any_depth() {
    let list = AttributeValue::Array(vec![
        "a".into(),
        AttributeValue::Array(vec![1.into(), AttributeValue::Double(f64::NAN)]),
        true.into(),
    ]);
    assert_eq!(texts(list), ["1", "a", "true"]);
}

#[test]
fn a_duration_is_its_nanoseconds() {
    assert_eq!(
        Value::from(Duration::from_millis(5))
            .canonical_text()
            .as_deref(),
        Some("5000000")
    );
}

#[test]
fn only_decimal_text_is_a_number() {
    for (text, number) in [
        ("500", Some(Number::Whole(500))),
        ("0500", Some(Number::Whole(500))),
        ("-3", Some(Number::Whole(-3))),
        ("1e3", Some(Number::Double(1000.0))),
        ("2.50", Some(Number::Double(2.5))),
        ("1.2.3", None),
        ("v1", None),
        ("", None),
        ("-", None),
        ("e", None),
        (" 1", None),
        ("0x10", None),
        ("inf", None),
        ("NaN", None),
        ("1e999", None),
    ] {
        assert_eq!(Number::of_text(text), number, "{text:?}");
    }
}

#[test]
fn numbers_of_two_types_compare_without_rounding() {
    let whole = |number: i128| Number::Whole(number);
    let double = |number: f64| Number::Double(number);
    for (one, other, expected) in [
        (whole(1), double(1.5), Some(Ordering::Less)),
        (whole(2), double(1.5), Some(Ordering::Greater)),
        (whole(-1), double(-1.5), Some(Ordering::Greater)),
        (whole(0), double(-0.0), Some(Ordering::Equal)),
        (
            whole(9_007_199_254_740_993),
            double(9_007_199_254_740_992.0),
            Some(Ordering::Greater),
        ),
        (
            whole(i64::MAX.into()),
            double(9_223_372_036_854_775_808.0),
            Some(Ordering::Less),
        ),
        (
            whole(i128::MAX),
            double(f64::INFINITY),
            Some(Ordering::Less),
        ),
        (
            whole(i128::MIN),
            double(f64::NEG_INFINITY),
            Some(Ordering::Greater),
        ),
        (whole(1), double(f64::NAN), None),
    ] {
        assert_eq!(one.compare(other), expected, "{one:?} {other:?}");
        assert_eq!(
            other.compare(one),
            expected.map(Ordering::reverse),
            "{other:?} {one:?}"
        );
    }
}

proptest! {
    #[test]
    fn floating_point_numbers_are_told_apart_by_their_texts(one in any::<f64>(), other in any::<f64>()) {
        let text = |number: f64| Value::Double(number).canonical_text();
        prop_assert_eq!(text(one).is_some() && text(one) == text(other), one.partial_cmp(&other) == Some(Ordering::Equal));
        prop_assert_eq!(text(one).and_then(|text| text.parse().ok()), Some(one));
    }

    #[test]
    fn whole_numbers_equal_floating_point_ones_when_they_are_the_same(number in any::<i64>(), shift in 0..64_u32) {
        let number = number >> shift;
        #[expect(clippy::cast_precision_loss, reason = "what is lost makes them differ")]
        let double = number as f64;
        let is_same = Number::Whole(number.into()).compare(Number::Double(double)) == Some(Ordering::Equal);
        prop_assert_eq!(text(number) == text(AttributeValue::Double(double)), is_same);
    }
}
