//! The two directions of the conversion, and how they go for what messages are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::canary::{BridgeName, CanarySource, GuestAddress};
use quorate_model::finding::Code;
use quorate_model::guest_ids::{HaName, JobId, ReplicaRef, Sid};
use quorate_model::held::GuestVolume;
use quorate_model::ids::{
    ClusterName, DiskName, DiskRef, FleetName, FrameDigest, Generation, InstanceId, InvalidName, JournalId, NodeName,
    OperationId, OperatorName, PackageDigest, PoolName, RolloutId, SshPublicKey, StepId, StorageName,
};
use quorate_model::{ByteSize, Timestamp};

use super::ConvertError;
use crate::v1;

/// A type of the model whose form on the wire is `W`.
pub trait Wire<W>: Sized {
    /// Writes it down.
    fn into_wire(self) -> W;

    /// Reads it, and checks everything that the type promises.
    ///
    /// # Errors
    /// Which field is not as it must be, and why.
    fn from_wire(wire: W) -> Result<Self, ConvertError>;
}

/// Reads one field of a message, so that an error names it: `field("driver", request.driver)?`.
///
/// # Errors
/// As [`Wire::from_wire`], with the field's name in the path.
pub fn field<T: Wire<W>, W>(name: &str, wire: W) -> Result<T, ConvertError> {
    T::from_wire(wire).map_err(|error| error.under(name))
}

/// What is the same on both sides.
macro_rules! same {
    ($($type:ty),*) => {$(
        impl Wire<$type> for $type {
            fn into_wire(self) -> $type {
                self
            }
            fn from_wire(wire: $type) -> Result<Self, ConvertError> {
                Ok(wire)
            }
        }
    )*};
}
same!(String, bool, u32, u64, i32, i64);

/// Names and other texts that obey rules.
macro_rules! text {
    ($($type:ty),*) => {$(
        impl Wire<String> for $type {
            fn into_wire(self) -> String {
                self.into()
            }
            fn from_wire(wire: String) -> Result<Self, ConvertError> {
                wire.try_into().map_err(|error: InvalidName| ConvertError::new(format!("is an {error}")))
            }
        }
    )*};
}
text!(
    BridgeName,
    CanarySource,
    ClusterName,
    Code,
    DiskName,
    DiskRef,
    FleetName,
    FrameDigest,
    GuestVolume,
    GuestAddress,
    HaName,
    InstanceId,
    JobId,
    ReplicaRef,
    Sid,
    JournalId,
    NodeName,
    OperationId,
    OperatorName,
    PackageDigest,
    PoolName,
    RolloutId,
    SshPublicKey,
    StepId,
    StorageName
);

/// Numbers with a meaning of their own.
macro_rules! number {
    ($($type:ident),*) => {$(
        impl Wire<u64> for $type {
            fn into_wire(self) -> u64 {
                self.0
            }
            fn from_wire(wire: u64) -> Result<Self, ConvertError> {
                Ok(Self(wire))
            }
        }
    )*};
}
number!(ByteSize, Generation);

/// Smaller numbers than the wire has.
macro_rules! small {
    ($($type:ident),*) => {$(
        impl Wire<u32> for $type {
            fn into_wire(self) -> u32 {
                self.into()
            }
            fn from_wire(wire: u32) -> Result<Self, ConvertError> {
                wire.try_into()
                    .map_err(|_| ConvertError::new(format!("is {wire}, more than {}", Self::MAX)))
            }
        }
    )*};
}
small!(u8, u16);

/// Neither NaN nor infinite: no measurement is, and JSON could not say it.
impl Wire<f64> for f64 {
    fn into_wire(self) -> f64 {
        self
    }
    fn from_wire(wire: f64) -> Result<Self, ConvertError> {
        if wire.is_finite() {
            Ok(wire)
        } else {
            Err(ConvertError::new(format!("is {wire}, not a number")))
        }
    }
}

/// Whole seconds.
impl Wire<u64> for Duration {
    fn into_wire(self) -> u64 {
        self.as_secs()
    }
    fn from_wire(wire: u64) -> Result<Self, ConvertError> {
        Ok(Self::from_secs(wire))
    }
}

impl Wire<String> for IpAddr {
    fn into_wire(self) -> String {
        self.to_string()
    }
    fn from_wire(wire: String) -> Result<Self, ConvertError> {
        wire.parse()
            .map_err(|_| ConvertError::new(format!("is no IP address: `{wire}`")))
    }
}

impl Wire<Option<v1::Time>> for Timestamp {
    fn into_wire(self) -> Option<v1::Time> {
        Some(v1::Time { unix_micros: self.0 })
    }
    fn from_wire(wire: Option<v1::Time>) -> Result<Self, ConvertError> {
        wire.map(|time| Self(time.unix_micros))
            .ok_or_else(ConvertError::missing)
    }
}

impl Wire<v1::Time> for Timestamp {
    fn into_wire(self) -> v1::Time {
        v1::Time { unix_micros: self.0 }
    }
    fn from_wire(wire: v1::Time) -> Result<Self, ConvertError> {
        Ok(Self(wire.unix_micros))
    }
}

impl<T: Wire<W>, W> Wire<W> for Box<T> {
    fn into_wire(self) -> W {
        (*self).into_wire()
    }
    fn from_wire(wire: W) -> Result<Self, ConvertError> {
        T::from_wire(wire).map(Self::new)
    }
}

impl<T: Wire<W>, W> Wire<Option<W>> for Option<T> {
    fn into_wire(self) -> Option<W> {
        self.map(T::into_wire)
    }
    fn from_wire(wire: Option<W>) -> Result<Self, ConvertError> {
        wire.map(T::from_wire).transpose()
    }
}

impl<T: Wire<W>, W> Wire<Vec<W>> for Vec<T> {
    fn into_wire(self) -> Vec<W> {
        self.into_iter().map(T::into_wire).collect()
    }
    fn from_wire(wire: Vec<W>) -> Result<Self, ConvertError> {
        each(wire).collect()
    }
}

impl<T: Wire<W>, W, const N: usize> Wire<Vec<W>> for [T; N] {
    fn into_wire(self) -> Vec<W> {
        self.into_iter().map(T::into_wire).collect()
    }
    fn from_wire(wire: Vec<W>) -> Result<Self, ConvertError> {
        let items: Vec<T> = Wire::from_wire(wire)?;
        items
            .try_into()
            .map_err(|items: Vec<T>| ConvertError::new(format!("has {} values, not {N}", items.len())))
    }
}

/// A set is a list in which nothing stands twice.
impl<T: Wire<W> + Ord, W> Wire<Vec<W>> for BTreeSet<T> {
    fn into_wire(self) -> Vec<W> {
        self.into_iter().map(T::into_wire).collect()
    }
    fn from_wire(wire: Vec<W>) -> Result<Self, ConvertError> {
        let mut set = Self::new();
        for (index, item) in each(wire).enumerate() {
            if !set.insert(item?) {
                return Err(ConvertError::new("stands there twice").at(index));
            }
        }
        Ok(set)
    }
}

impl<K: Wire<KW> + Ord, V: Wire<VW>, KW: Ord + fmt::Display + Clone, VW> Wire<BTreeMap<KW, VW>> for BTreeMap<K, V> {
    fn into_wire(self) -> BTreeMap<KW, VW> {
        self.into_iter()
            .map(|(key, value)| (key.into_wire(), value.into_wire()))
            .collect()
    }
    fn from_wire(wire: BTreeMap<KW, VW>) -> Result<Self, ConvertError> {
        wire.into_iter()
            .map(|(key, value)| {
                let name = key.clone();
                let read = || Ok((K::from_wire(key)?, V::from_wire(value)?));
                read().map_err(|error: ConvertError| error.at(name))
            })
            .collect()
    }
}

/// Reads item by item; an error bears the item's index.
fn each<T: Wire<W>, W>(wire: Vec<W>) -> impl Iterator<Item = Result<T, ConvertError>> {
    wire.into_iter()
        .enumerate()
        .map(|(index, item)| T::from_wire(item).map_err(|error| error.at(index)))
}
