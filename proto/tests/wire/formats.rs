//! What earlier versions say is understood: examples of every message, as they were encoded, are kept by version, and so is the list of
//! all fields with their numbers and types.
//!
//! An example populates every field of one message, with each alternative of its oneofs in turn, wrapped into the request or answer in
//! which it travels. A field that is lost, renumbered or of another type comes out of today's code with other bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use quorate_proto::{DESCRIPTORS, v1};

/// The types that requests and answers have: of these the code is asked.
macro_rules! travelling {
    ($($name:ident)*) => {
        const TRAVELLING: &[&str] = &[$(stringify!($name)),*];

        /// What today's code makes of bytes, and back again.
        fn through(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
            match name {
                $(stringify!($name) => v1::$name::decode(bytes)
                    .map(|message| message.encode_to_vec())
                    .map_err(|error| error.to_string()),)*
                _ => Err(format!("there is no message {name} any more")),
            }
        }
    };
}

travelling! {
    ObserveRequest ObserveReply WatchHealthRequest Observation DriveRequest DriveReply ExecuteRequest OperationEvent AttachRequest
    LedgerRequest LedgerReply SnapshotRequest SnapshotReply HoldRequest HoldReply KeepSpecRequest KeepSpecReply JoinTicketRequest
    JoinTicketReply RenewalRequestRequest RenewalRequestReply InstallCertificateRequest InstallCertificateReply OpenEchoRequest
    OpenEchoReply MeasureRequest MeasureReply CloseEchoRequest CloseEchoReply RevokeRequest RevokeReply InfoRequest InfoReply
    HealRequest HealReply WatchEventsRequest DrillEvents
    ListNodesRequest ListNodesReply InviteNodeRequest InviteNodeReply RemoveNodeRequest RemoveNodeReply GetViewRequest GetViewReply
    NetworkRequest NetworkReply PlanRequest PlanReply ApplyRequest ApplyReply ListRolloutsRequest ListRolloutsReply
    WatchRolloutRequest RolloutProgress CancelRolloutRequest CancelRolloutReply ReadAuditRequest ReadAuditReply ExportHistoryRequest
    ExportHistoryReply UndoInfoRequest UndoInfoReply FreezeRequest FreezeReply AppliedRequest AppliedReply ListOperatorsRequest ListOperatorsReply RemoveOperatorRequest RemoveOperatorReply CaStatusRequest CaStatusReply ExchangeCaRequest PackagePart KeepPackageReply KeepReachRequest KeepReachReply StagePackageReply EnrolRequest EnrolReply
    HealRequest HealReply WatchEventsRequest DrillEvents
    PreviewDrillRequest PreviewDrillReply StartDrillRequest StartDrillReply WatchDrillRequest DrillProgress AbortDrillRequest AbortDrillReply ListDrillsRequest ListDrillsReply GetDrillRequest GetDrillReply
    ProbeRequest ProbeCalls ProbeFromRequest ProbeFromReply
    LookForLostRequest LookForLostReply
}

const PACKAGE: &str = ".quorate.v1.";

/// The protocol as it is compiled.
struct Schema {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
    /// Requests and answers, in the order of the methods.
    roots: Vec<String>,
}

impl Schema {
    fn today() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut schema = Self {
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
            roots: Vec::new(),
        };
        for file in &set.file {
            let prefix = format!(".{}", file.package());
            for message in &file.message_type {
                schema.add(&prefix, message);
            }
            for it in &file.enum_type {
                schema.enums.insert(format!("{prefix}.{}", it.name()), it.clone());
            }
            for method in file.service.iter().flat_map(|service| &service.method) {
                for name in [method.input_type(), method.output_type()] {
                    if !schema.roots.iter().any(|known| known == name) {
                        schema.roots.push(name.to_owned());
                    }
                }
            }
        }
        schema
    }

    fn add(&mut self, prefix: &str, message: &DescriptorProto) {
        let name = format!("{prefix}.{}", message.name());
        for it in &message.enum_type {
            self.enums.insert(format!("{name}.{}", it.name()), it.clone());
        }
        for nested in &message.nested_type {
            self.add(&name, nested);
        }
        self.messages.insert(name, message.clone());
    }

    /// One line for each field and each value of an enum: what no later version may change.
    fn lines(&self) -> BTreeSet<String> {
        let fields = self.messages.iter().flat_map(|(name, message)| {
            message.field.iter().map(move |field| {
                let label = if field.label() == Label::Repeated {
                    "repeated "
                } else {
                    ""
                };
                let of = match field.type_name() {
                    "" => String::new(),
                    of => format!(" {of}"),
                };
                format!(
                    "{name} {} = {}: {label}{}{of}",
                    field.name(),
                    field.number(),
                    field.r#type().as_str_name()
                )
            })
        });
        let values = self.enums.iter().flat_map(|(name, it)| {
            let values = it.value.iter();
            values.map(move |value| format!("{name} {} = {}", value.name(), value.number()))
        });
        fields.chain(values).collect()
    }

    fn is_map(&self, field: &FieldDescriptorProto) -> bool {
        let of = self.messages.get(field.type_name());
        of.and_then(|message| message.options.as_ref())
            .is_some_and(|options| options.map_entry())
    }

    /// How each message is reached from a request or answer: which, and by which fields.
    fn ways(&self) -> BTreeMap<&str, (&str, Vec<&FieldDescriptorProto>)> {
        let mut ways: BTreeMap<&str, (&str, Vec<&FieldDescriptorProto>)> = BTreeMap::new();
        let mut open: VecDeque<(&str, &str, Vec<&FieldDescriptorProto>)> = self
            .roots
            .iter()
            .map(|root| (root.as_str(), root.as_str(), Vec::new()))
            .collect();
        while let Some((name, root, way)) = open.pop_front() {
            if ways.contains_key(name) {
                continue;
            }
            for field in self.messages[name]
                .field
                .iter()
                .filter(|field| field.r#type() == Type::Message)
            {
                let further = way.iter().copied().chain([field]).collect();
                open.push_back((field.type_name(), root, further));
            }
            ways.insert(name, (root, way));
        }
        ways
    }

    /// How many alternatives the richest oneof of a message has.
    fn alternatives(&self, message: &DescriptorProto) -> usize {
        let count = |index| {
            message
                .field
                .iter()
                .filter(|field| is_alternative_of(field, index))
                .count()
        };
        let oneofs = (0..message.oneof_decl.len()).map(|index| count(i32::try_from(index).unwrap()));
        oneofs.max().unwrap_or(0).max(1)
    }

    /// A message with everything in it: of its oneofs the alternative of that number, of the messages in it what is no message.
    fn whole(&self, name: &str, number: usize, inner: bool) -> Vec<u8> {
        let message = &self.messages[name];
        let mut fields: Vec<_> = message.field.iter().collect();
        fields.sort_by_key(|field| field.number());
        let mut bytes = Vec::new();
        for field in fields {
            if let Some(index) = field.oneof_index.filter(|_| !field.proto3_optional()) {
                let all: Vec<i32> = message
                    .field
                    .iter()
                    .filter(|f| is_alternative_of(f, index))
                    .map(|f| f.number())
                    .collect();
                if inner || all[number % all.len()] != field.number() {
                    continue;
                }
            }
            if inner && field.r#type() == Type::Message && !self.is_map(field) {
                continue;
            }
            self.field(field, inner, &mut bytes);
        }
        bytes
    }

    fn field(&self, field: &FieldDescriptorProto, inner: bool, bytes: &mut Vec<u8>) {
        let tag = u32::try_from(field.number()).unwrap();
        let (mut value, wire) = match field.r#type() {
            Type::Message if self.is_map(field) => (self.entry(field.type_name(), inner), WireType::LengthDelimited),
            Type::Message => (self.whole(field.type_name(), 0, true), WireType::LengthDelimited),
            Type::String => (b"text".to_vec(), WireType::LengthDelimited),
            Type::Bytes => (b"bytes".to_vec(), WireType::LengthDelimited),
            Type::Double => (1.5_f64.to_le_bytes().to_vec(), WireType::SixtyFourBit),
            Type::Enum => {
                let last = self.enums[field.type_name()].value.last().unwrap().number();
                (varint(u64::try_from(last).unwrap()), WireType::Varint)
            }
            Type::Bool => (varint(1), WireType::Varint),
            Type::Int64 | Type::Uint64 | Type::Int32 | Type::Uint32 => (varint(u64::from(tag) + 100), WireType::Varint),
            other => panic!("there was no field of this type so far: {other:?}"),
        };
        let packed = field.label() == Label::Repeated && wire != WireType::LengthDelimited;
        encode_key(tag, if packed { WireType::LengthDelimited } else { wire }, bytes);
        if packed || wire == WireType::LengthDelimited {
            encode_varint(value.len() as u64, bytes);
        }
        bytes.append(&mut value);
    }

    /// An entry of a map. A value without anything in it would not be written again.
    fn entry(&self, name: &str, inner: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in &self.messages[name].field {
            if field.r#type() == Type::Message && self.whole(field.type_name(), 0, true).is_empty() {
                continue;
            }
            self.field(field, inner, &mut bytes);
        }
        bytes
    }

    /// Wraps a message into what it travels in.
    fn wrapped(&self, way: &[&FieldDescriptorProto], mut bytes: Vec<u8>) -> Vec<u8> {
        for (number, field) in way.iter().enumerate().rev() {
            let mut outer = Vec::new();
            // The other half of a map's entry.
            let entry = number
                .checked_sub(1)
                .and_then(|before| way.get(before))
                .filter(|map| self.is_map(map));
            let key = entry.and_then(|map| {
                self.messages[map.type_name()]
                    .field
                    .iter()
                    .find(|field| field.number() == 1)
            });
            if let Some(key) = key {
                self.field(key, true, &mut outer);
            }
            encode_key(
                u32::try_from(field.number()).unwrap(),
                WireType::LengthDelimited,
                &mut outer,
            );
            encode_varint(bytes.len() as u64, &mut outer);
            outer.append(&mut bytes);
            bytes = outer;
        }
        bytes
    }

    /// All examples: what travels, the way to the message that is meant, the alternative, the bytes.
    fn examples(&self) -> Vec<(String, Vec<u8>)> {
        let mut examples = Vec::new();
        for (name, (root, way)) in self.ways() {
            let message = &self.messages[name];
            let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
            for number in 0..self.alternatives(message) {
                if is_entry {
                    continue;
                }
                let bytes = self.wrapped(&way, self.whole(name, number, false));
                let root = root.strip_prefix(PACKAGE).unwrap();
                let way: Vec<&str> = way.iter().map(|field| field.name()).collect();
                examples.push((format!("{root} {}/{number}", way.join(".")), bytes));
            }
        }
        examples
    }
}

fn is_alternative_of(field: &FieldDescriptorProto, index: i32) -> bool {
    field.oneof_index == Some(index) && !field.proto3_optional()
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(value, &mut bytes);
    bytes
}

fn formats() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats"))
}

fn versions() -> Vec<PathBuf> {
    let folders = fs::read_dir(formats()).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.join("wire").is_dir()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// Examples that are kept in a folder: name and bytes.
fn kept(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(folder.join("wire/messages.txt")).unwrap();
    let line = |line: &str| {
        let (name, bytes) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), unhex(bytes))
    };
    text.lines().map(line).collect()
}

#[test]
fn every_message_of_every_method_is_asked_for() {
    let roots = Schema::today().roots;
    let roots: BTreeSet<&str> = roots.iter().map(|name| name.strip_prefix(PACKAGE).unwrap()).collect();
    assert_eq!(roots, TRAVELLING.iter().copied().collect());
}

#[test]
fn every_message_of_every_method_has_an_example_of_this_version() {
    let examples = kept(&formats().join(env!("CARGO_PKG_VERSION")));
    let there: BTreeSet<&str> = examples.iter().filter_map(|(name, _)| name.split(' ').next()).collect();
    let missing: Vec<_> = TRAVELLING.iter().filter(|name| !there.contains(**name)).collect();
    assert!(
        missing.is_empty(),
        "no example of {missing:?}; write them: cargo test -p quorate-proto --test wire formats -- --ignored, then cargo xtask formats"
    );
}

#[test]
fn what_earlier_versions_say_is_understood_in_full() {
    let versions = versions();
    assert!(!versions.is_empty());
    for folder in versions {
        for (name, bytes) in kept(&folder) {
            let root = name.split(' ').next().unwrap();
            let again = through(root, &bytes).unwrap_or_else(|error| panic!("{}: {name}: {error}", folder.display()));
            assert_eq!(hex(&again), hex(&bytes), "{}: {name}", folder.display());
        }
    }
}

#[test]
fn no_field_and_no_value_changes_its_number_its_name_or_its_type() {
    let today = Schema::today().lines();
    for folder in versions() {
        let text = fs::read_to_string(folder.join("wire/schema.txt")).unwrap();
        let lost: Vec<&str> = text.lines().filter(|line| !today.contains(*line)).collect();
        assert!(lost.is_empty(), "{}: {lost:#?}", folder.display());
    }
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let mut bytes = v1::AttachRequest {
        operation: "op-1".to_owned(),
        from: 7,
    }
    .encode_to_vec();
    encode_key(1000, WireType::LengthDelimited, &mut bytes);
    encode_varint(3, &mut bytes);
    bytes.extend(b"new");
    let read = v1::AttachRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!((read.operation.as_str(), read.from), ("op-1", 7));
}

#[test]
#[ignore = "writes the examples of this version"]
fn write_the_examples_of_this_version() {
    let schema = Schema::today();
    let folder = formats().join(env!("CARGO_PKG_VERSION")).join("wire");
    fs::create_dir_all(&folder).unwrap();
    let mut text = String::new();
    for (name, bytes) in schema.examples() {
        let again = through(name.split(' ').next().unwrap(), &bytes).unwrap();
        assert_eq!(
            again.len(),
            bytes.len(),
            "{name}: {} became {}",
            hex(&bytes),
            hex(&again)
        );
        writeln!(text, "{name} {}", hex(&again)).unwrap();
    }
    fs::write(folder.join("messages.txt"), text).unwrap();
    let lines: Vec<String> = schema.lines().into_iter().collect();
    fs::write(folder.join("schema.txt"), lines.join("\n") + "\n").unwrap();
}
