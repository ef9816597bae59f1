//! Numbers as keys of maps, read back from JSON.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// JSON has texts for keys, and within a tagged enum serde no longer knows that they were numbers.
pub(crate) fn numbers<'de, V: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u8, V>, D::Error> {
    let texts = BTreeMap::<String, V>::deserialize(from)?;
    let number = |text: String| {
        text.parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is no number from 0 to 255")))
    };
    texts
        .into_iter()
        .map(|(text, value)| Ok((number(text)?, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::Facet;
    use crate::observation::cluster::ConfiguredNode;
    use crate::time::Timestamp;

    #[test]
    fn a_map_with_numbers_survives_a_tagged_enum() {
        let node = ConfiguredNode {
            name: "prox1".into(),
            id: 1,
            votes: 1,
            addresses: [(0, "10.10.10.1".into())].into(),
        };
        let facet = Facet::known(vec![node], Timestamp(1));
        let json = serde_json::to_string(&facet).unwrap();
        assert_eq!(
            serde_json::from_str::<Facet<Vec<ConfiguredNode>>>(&json).unwrap(),
            facet
        );
    }
}
