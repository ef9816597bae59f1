//! One line for each field, read in both directions. Struct literals on both sides make forgetting one a compile error.

/// A struct and its message, whose fields bear the same names:
/// `message!(Controller = v1::Controller { pci_address, driver, class });`
macro_rules! message {
    ($model:path = $wire:path { $($field:ident),* $(,)? }) => {
        impl Wire<$wire> for $model {
            fn into_wire(self) -> $wire {
                type Message = $wire;
                Message { $($field: self.$field.into_wire()),* }
            }
            fn from_wire(wire: $wire) -> Result<Self, ConvertError> {
                Ok(Self { $($field: field(stringify!($field), wire.$field)?),* })
            }
        }
        both_ways!($model = $wire);
    };
}

/// An enum with data and its message, which is nothing but a oneof. Left of each variant stands its name in the oneof.
/// Variants with named fields have a message with these fields; variants that hold one value have that value's message.
macro_rules! oneof {
    ($model:path = $wire:path [$oneof:ident: $choice:path] {
        $($name:ident: $variant:ident { $($part:ident),* } = $message:path),* $(,)?
    } $(holding { $($held_name:ident: $held:ident),* $(,)? })?) => {
        impl Wire<$wire> for $model {
            fn into_wire(self) -> $wire {
                type Message = $wire;
                type Choice = $choice;
                Message {
                    $oneof: Some(match self {
                        $(Self::$variant { $($part),* } => Choice::$variant({
                            type Message = $message;
                            Message { $($part: $part.into_wire()),* }
                        }),)*
                        $($(Self::$held(value) => Choice::$held(value.into_wire()),)*)?
                    }),
                }
            }
            fn from_wire(wire: $wire) -> Result<Self, ConvertError> {
                type Choice = $choice;
                match wire.$oneof {
                    $(Some(Choice::$variant(_message)) => {
                        let read = || Ok(Self::$variant { $($part: field(stringify!($part), _message.$part)?),* });
                        read().map_err(|error: ConvertError| error.under(stringify!($name)))
                    })*
                    $($(Some(Choice::$held(value)) => field(stringify!($held_name), value).map(Self::$held),)*)?
                    None => {
                        let known = [$(stringify!($name),)* $($(stringify!($held_name)),*)?].join(", ");
                        Err(ConvertError::new(format!("is none of those known here: {known}")))
                    }
                }
            }
        }
        both_ways!($model = $wire);
    };
}

/// What follows for anything that is a message: it may be required in a field, and converts as Rust usually does.
macro_rules! both_ways {
    ($model:ty = $wire:ty) => {
        impl Wire<Option<$wire>> for $model {
            fn into_wire(self) -> Option<$wire> {
                Some(self.into_wire())
            }
            fn from_wire(wire: Option<$wire>) -> Result<Self, ConvertError> {
                Self::from_wire(wire.ok_or_else(ConvertError::missing)?)
            }
        }
        impl From<$model> for $wire {
            fn from(model: $model) -> Self {
                model.into_wire()
            }
        }
        impl TryFrom<$wire> for $model {
            type Error = ConvertError;
            fn try_from(wire: $wire) -> Result<Self, ConvertError> {
                Wire::from_wire(wire)
            }
        }
    };
}

/// An enum without data and its enum on the wire, whose values bear the same names and in which 0 means nothing.
macro_rules! choice {
    ($model:ty = $wire:ty { $($variant:ident),* $(,)? }) => {
        impl Wire<i32> for $model {
            fn into_wire(self) -> i32 {
                <$wire>::from(self).into()
            }
            fn from_wire(wire: i32) -> Result<Self, ConvertError> {
                type Choice = $wire;
                match Choice::try_from(wire) {
                    $(Ok(Choice::$variant) => Ok(Self::$variant),)*
                    _ => Err($crate::convert::unknown_choice(wire)),
                }
            }
        }
        impl From<$model> for $wire {
            fn from(model: $model) -> Self {
                match model {
                    $(<$model>::$variant => Self::$variant,)*
                }
            }
        }
    };
}

/// A facet and its message: `facet!(System = v1::SystemFacet: v1::system_facet::State);`
macro_rules! facet {
    ($model:ty = $wire:path: $state:path) => {
        impl Wire<$wire> for quorate_model::Facet<$model> {
            fn into_wire(self) -> $wire {
                type Message = $wire;
                type State = $state;
                match self {
                    Self::Known { value, collected_at } => Message {
                        state: Some(State::Known(value.into_wire())),
                        collected_at: collected_at.into_wire(),
                    },
                    Self::Unknown(unknown) => Message {
                        state: Some(State::Unknown(unknown.into_wire())),
                        collected_at: None,
                    },
                }
            }
            fn from_wire(wire: $wire) -> Result<Self, ConvertError> {
                type State = $state;
                match wire.state {
                    Some(State::Known(value)) => Ok(Self::Known {
                        value: Wire::from_wire(value)?,
                        collected_at: field("collected_at", wire.collected_at)?,
                    }),
                    Some(State::Unknown(unknown)) => Ok(Self::Unknown(field("unknown", unknown)?)),
                    None => Err(ConvertError::new("is neither known nor unknown")),
                }
            }
        }
        impl Wire<Option<$wire>> for quorate_model::Facet<$model> {
            fn into_wire(self) -> Option<$wire> {
                Some(self.into_wire())
            }
            fn from_wire(wire: Option<$wire>) -> Result<Self, ConvertError> {
                wire.map_or_else(|| Ok(Self::not_asked()), Wire::from_wire)
            }
        }
    };
}

/// A list that stands in a message of its own, because a oneof can't hold a list.
macro_rules! list {
    ($model:ty = $wire:path { $field:ident }) => {
        wrapped!(Vec<$model> = $wire { $field });
    };
}

/// What stands in a message of its own: a map, a set, or what may be missing, none of which a oneof or a map can hold.
macro_rules! wrapped {
    ($model:ty = $wire:path { $field:ident }) => {
        impl Wire<$wire> for $model {
            fn into_wire(self) -> $wire {
                type Message = $wire;
                Message {
                    $field: self.into_wire(),
                }
            }
            fn from_wire(wire: $wire) -> Result<Self, ConvertError> {
                field(stringify!($field), wire.$field)
            }
        }
    };
}
