//! A profile as pprof reads it: a gzip'd `perftools.profiles.Profile`.
//!
//! Source: <https://github.com/google/pprof/blob/main/proto/profile.proto>; the numbers of fields
//! are its.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::stacks::Stacks;
use crate::symbols::{self, Symbol};
use crate::taking::Wanted;
use crate::unwind::{Object, Unwinder};

/// What is counted, and in what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

/// A profile but for its samples.
pub(crate) struct Profile<'a> {
    /// What the figures of a stack are.
    pub(crate) types: &'a [Type],
    /// What is between two samples.
    pub(crate) period: (Type, i64),
    pub(crate) default_type: &'static str,
    /// What whoever reads it should know; may be empty.
    pub(crate) comment: String,
    /// Functions to leave out, with what they call, as a regular expression; may be empty.
    pub(crate) drop_frames: &'static str,
    pub(crate) wanted: Wanted,
}

/// A message of protocol buffers being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, inner: &Self) {
        self.bytes(field, &inner.0);
    }

    fn numbers(&mut self, field: u64, values: impl Iterator<Item = u64>) {
        let mut packed = Self::default();
        values.for_each(|value| packed.varint(value));
        self.message(field, &packed);
    }
}

/// The texts of a profile, each once, under its number; the empty one is 0.
struct Texts {
    numbers: HashMap<String, u64>,
    all: Vec<String>,
}

impl Texts {
    fn new() -> Self {
        Self { numbers: HashMap::from([(String::new(), 0)]), all: vec![String::new()] }
    }

    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len() as u64;
        self.numbers.insert(text.to_owned(), number);
        self.all.push(text.to_owned());
        number
    }

    fn type_of(&mut self, counted: Type) -> Message {
        let mut message = Message::default();
        message.number(1, self.number(counted.name));
        message.number(2, self.number(counted.unit));
        message
    }
}

impl Profile<'_> {
    /// The whole profile, compressed.
    pub(crate) fn encoded(&self, stacks: &Stacks, unwinder: &Unwinder) -> io::Result<Vec<u8>> {
        let (mut whole, mut texts) = (Message::default(), Texts::new());
        for counted in self.types {
            whole.message(1, &texts.type_of(*counted));
        }
        let addresses = stacks.addresses();
        // Numbered from 1 in their order.
        let number = |address: &u64| addresses.binary_search(address).map_or(0, |at| at as u64 + 1);
        for (calls, figures) in stacks.iter() {
            let mut sample = Message::default();
            sample.numbers(1, calls.iter().map(number));
            let figures = figures.iter().take(self.types.len());
            sample.numbers(2, figures.map(|figure| figure.round() as u64));
            whole.message(2, &sample);
        }
        for (index, object) in unwinder.objects.iter().enumerate() {
            whole.message(3, &mapping(index, object, &mut texts));
        }
        places(&mut whole, &addresses, unwinder, &mut texts);
        whole.number(7, texts.number(self.drop_frames));
        whole.number(9, self.wanted.began_at_ns.cast_unsigned());
        whole.number(10, self.wanted.lasts.as_nanos() as u64);
        let (counted, period) = self.period;
        whole.message(11, &texts.type_of(counted));
        whole.number(12, period.cast_unsigned());
        whole.number(13, texts.number(&self.comment));
        whole.number(14, texts.number(self.default_type));
        for text in &texts.all {
            whole.bytes(6, text.as_bytes());
        }
        let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
        compressed.write_all(&whole.0)?;
        compressed.finish()
    }
}

fn mapping(index: usize, object: &Object, texts: &mut Texts) -> Message {
    let mut message = Message::default();
    message.number(1, index as u64 + 1);
    message.number(2, object.mapping.start);
    message.number(3, object.mapping.end);
    message.number(4, object.mapping.offset);
    message.number(5, texts.number(&object.mapping.path));
    message.number(6, texts.number(&object.image.build_id().unwrap_or_default()));
    message.number(7, u64::from(symbols::are_in(&object.image)));
    message
}

/// Where the addresses are: files, and functions as far as they have names.
fn places(whole: &mut Message, addresses: &[u64], unwinder: &Unwinder, texts: &mut Texts) {
    let names = symbols::of(unwinder, addresses);
    let mut functions: HashMap<&Symbol, u64> = HashMap::new();
    for (address, number) in addresses.iter().zip(1..) {
        let mut location = Message::default();
        location.number(1, number);
        let object = unwinder.object(*address).map_or(0, |(index, _)| index as u64 + 1);
        location.number(2, object);
        location.number(3, *address);
        if let Some(symbol) = names.get(address) {
            let next = functions.len() as u64 + 1;
            let mut line = Message::default();
            line.number(1, *functions.entry(symbol).or_insert(next));
            location.message(4, &line);
        }
        whole.message(4, &location);
    }
    for (symbol, number) in functions {
        let mut function = Message::default();
        function.number(1, number);
        function.number(2, texts.number(&symbol.name));
        function.number(3, texts.number(&symbol.mangled));
        whole.message(5, &function);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Read as _;

    use super::*;

    /// A profile as it was read again.
    #[derive(Debug, Default)]
    pub(crate) struct Read {
        /// As `name/unit`.
        pub(crate) types: Vec<String>,
        /// The names of the functions, the latest first, with the figures.
        pub(crate) samples: Vec<(Vec<String>, Vec<i64>)>,
        pub(crate) files: Vec<String>,
        pub(crate) period: u64,
        pub(crate) began_at_ns: u64,
    }

    impl Read {
        /// The figures of the samples with this function.
        pub(crate) fn of(&self, function: &str) -> impl Iterator<Item = &Vec<i64>> {
            let has = move |names: &[String]| names.iter().any(|name| name == function);
            self.samples.iter().filter(move |(names, _)| has(names)).map(|(_, values)| values)
        }
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// Fields with their numbers: of a number its value, of everything else its bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let value = varint(&mut bytes);
            let inner = match tag & 7 {
                0 => &[][..],
                2 => {
                    let (inner, rest) = bytes.split_at(value as usize);
                    bytes = rest;
                    inner
                }
                wire => panic!("{wire}"),
            };
            found.push((tag >> 3, value, inner));
        }
        found
    }

    fn numbers(mut packed: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        while !packed.is_empty() {
            found.push(varint(&mut packed));
        }
        found
    }

    /// Reads a profile.
    pub(crate) fn read(compressed: &[u8]) -> Read {
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(compressed).read_to_end(&mut whole).unwrap();
        let whole = fields(&whole);
        let all = |field: u64| {
            let of = whole.iter().filter(move |(number, ..)| *number == field);
            of.map(|(_, value, inner)| (*value, *inner))
        };
        let texts: Vec<String> =
            all(6).map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect();
        assert_eq!(texts[0], "");
        let get = |inner: &[u8], field: u64| {
            let found = fields(inner).into_iter().find(|(number, ..)| *number == field);
            found.map_or(0, |(_, value, _)| value)
        };
        let text = |inner: &[u8], field: u64| texts[get(inner, field) as usize].clone();
        let functions: HashMap<u64, String> =
            all(5).map(|(_, function)| (get(function, 1), text(function, 2))).collect();
        let line = |location: &[u8]| {
            let lines = fields(location).into_iter().find(|(number, ..)| *number == 4);
            lines.map_or(String::new(), |(.., line)| functions[&get(line, 1)].clone())
        };
        let places: HashMap<u64, String> =
            all(4).map(|(_, location)| (get(location, 1), line(location))).collect();
        let sample = |sample: &[u8]| {
            let (mut names, mut values) = (Vec::new(), Vec::new());
            for (number, _, packed) in fields(sample) {
                match number {
                    1 => names = numbers(packed).iter().map(|at| places[at].clone()).collect(),
                    _ => values = numbers(packed).iter().map(|it| it.cast_signed()).collect(),
                }
            }
            (names, values)
        };
        let number = |field: u64| all(field).next().map_or(0, |(value, _)| value);
        Read {
            types: all(1).map(|(_, it)| format!("{}/{}", text(it, 1), text(it, 2))).collect(),
            samples: all(2).map(|(_, it)| sample(it)).collect(),
            files: all(3).map(|(_, it)| text(it, 5)).collect(),
            period: number(12),
            began_at_ns: number(9),
        }
    }

    #[test]
    fn numbers_are_written_as_protocol_buffers_want_them() {
        let mut message = Message::default();
        message.number(1, 150);
        message.number(2, 0);
        message.bytes(2, b"testing");
        // The examples of <https://protobuf.dev/programming-guides/encoding/>.
        let expected = [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat();
        assert_eq!(message.0, expected);
        let mut packed = Message::default();
        packed.numbers(6, [3, 270, 86_942].into_iter());
        assert_eq!(packed.0, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
    }

    #[test]
    fn what_has_no_name_stays_an_address_in_its_file() {
        let unwinder = Unwinder::new().unwrap();
        let start = unwinder.objects[0].mapping.start;
        let mut stacks = Stacks::default();
        let place = stacks.place(&[start, 16]);
        stacks.add(place, [2.4, 0.0, 0.0, 0.0]);
        let counted = Type { name: "a", unit: "b" };
        let profile = Profile {
            types: &[counted],
            period: (counted, 1),
            default_type: "a",
            comment: String::new(),
            drop_frames: "",
            wanted: Wanted { lasts: std::time::Duration::ZERO, began_at_ns: 0 },
        };
        let read = read(&profile.encoded(&stacks, &unwinder).unwrap());
        assert_eq!((read.samples.len(), &read.samples[0].1[..]), (1, &[2][..]));
        assert_eq!(read.samples[0].0.len(), 2);
        assert_eq!(read.files[0], unwinder.objects[0].mapping.path);
    }
}
