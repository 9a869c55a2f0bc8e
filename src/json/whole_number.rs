//! Integers. `5.0` and `5e0` are JSON's ways to write 5 (some programs write every number so), and are taken for it wherever an
//! integer is read from a caller. `5.5` is not, nor a fraction beyond 2^53, where a 64-bit float is no longer exact.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// For `#[serde(deserialize_with)]` on a field that is an integer.
pub fn whole<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    WholeNumber::deserialize(deserializer).map(|WholeNumber(number)| number)
}

/// For `#[serde(deserialize_with)]` on a field that is an integer or `null`.
pub fn whole_or_null<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<WholeNumber<T>>::deserialize(deserializer).map(|given| given.map(|WholeNumber(number)| number))
}

/// The same where `null` is a value, and only a field that is missing is `None`.
pub fn given_whole_or_null<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    whole_or_null(deserializer).map(Some)
}

/// Integers up to here are exact as 64-bit floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

struct WholeNumber<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for WholeNumber<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor(PhantomData)).map(WholeNumber)
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| out_of_range(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        u64::try_from(number).map_err(|_| out_of_range(number)).and_then(|number| self.visit_u64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        if !(0.0..=EXACT).contains(&number) {
            return Err(out_of_range(number));
        }
        self.visit_u64(number as u64)
    }
}

fn out_of_range<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("is {number}, which is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Numbers {
        #[serde(deserialize_with = "whole")]
        one: u32,
        #[serde(deserialize_with = "whole_or_null")]
        maybe: Option<u64>,
        #[serde(deserialize_with = "given_whole_or_null")]
        given: Option<Option<u32>>,
    }

    fn read(text: &str) -> Result<Numbers, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        for five in ["5", "5.0", "5e0", "0.5E1", "500e-2"] {
            let text = format!("{{\"one\": {five}, \"maybe\": {five}, \"given\": {five}}}");
            assert_eq!(read(&text), Ok(Numbers { one: 5, maybe: Some(5), given: Some(Some(5)) }), "{five}");
        }
        assert_eq!(read("{\"maybe\": null, \"given\": null}"), Ok(Numbers { given: Some(None), ..Numbers::default() }));
        assert_eq!(read("{}"), Ok(Numbers::default()));
        assert_eq!(read("{\"maybe\": 18446744073709551615}").unwrap().maybe, Some(u64::MAX));
        assert_eq!(read("{\"maybe\": 9007199254740992.0}").unwrap().maybe, Some(1 << 53));
    }

    #[test]
    fn what_is_no_integer_or_out_of_range_is_not_taken() {
        for (number, part) in [
            ("5.5", "a whole number"),
            ("-1", "out of range"),
            ("-1.0", "out of range"),
            ("4294967296", "out of range"),
            ("4294967296.0", "out of range"),
            ("9007199254740994.0", "out of range"),
            ("1e300", "out of range"),
            ("\"5\"", "a whole number"),
            ("true", "a whole number"),
            ("[5]", "a whole number"),
        ] {
            let error = read(&format!("{{\"one\": {number}}}")).expect_err(number);
            assert!(error.contains(part), "{number}: {error}");
        }
    }
}
