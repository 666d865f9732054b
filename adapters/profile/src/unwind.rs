//! From the registers of a thread to the addresses of the calls that led there, by the unwind
//! tables that every Rust program has for its panics.
//!
//! The tables are a copy, and the stack is read through [`Window`], so that a wrong table or a
//! broken stack ends the walk and nothing else. Walking does not allocate.
//!
//! Source: DWARF 5, 6.4 "Call Frame Information"; System V ABI for AMD64, figure 3.36 for the
//! numbers of the registers.

use std::io;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Operation, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindExpression, UnwindSection,
    UnwindTableRow,
};

use crate::image::{Image, Source};
use crate::maps::{self, Mapping, VDSO};
use crate::memory::{Memory, Window};

/// Most calls of a stack; those behind it are left out. Stacks of `async` functions are deep.
pub(crate) const FRAMES_MAX: usize = 256;

/// Registers by their numbers in the tables; the last one is the address of the instruction.
const REGISTERS: usize = 17;
const STACK_POINTER: usize = 7;
const INSTRUCTION: usize = 16;
/// What a call leaves as it was, with where the call came from: `rbx`, `rbp`, `r12` to `r15`.
const PRESERVED: [usize; 7] = [3, 6, 12, 13, 14, 15, INSTRUCTION];

/// The registers of a thread at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers(pub(crate) [u64; REGISTERS]);

impl Registers {
    fn get(&self, register: Register) -> Option<u64> {
        self.0.get(usize::from(register.0)).copied()
    }
}

/// The code of one file, and how to walk out of it.
pub(crate) struct Object {
    pub(crate) mapping: Mapping,
    pub(crate) image: Image,
    /// How far the code is from where the file says it belongs.
    pub(crate) moved_by: u64,
    /// Addresses, as the file has them, and contents of the tables.
    index: (u64, Vec<u8>),
    frames: (u64, Vec<u8>),
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Room for the rules of one place in the code; a function needs some registers, not hundreds.
struct Room;

impl UnwindContextStorage<usize> for Room {
    type Rules = [(Register, RegisterRule<usize>); 32];
    type Stack = [UnwindTableRow<usize, Self>; 4];
}

type Rules = UnwindContext<usize, Room>;
type Row = UnwindTableRow<usize, Room>;

impl Object {
    fn of(memory: &Memory, mapping: Mapping) -> Option<Self> {
        let source = if mapping.path == VDSO {
            Source::Memory(memory.read(mapping.start, mapping.end)?)
        } else {
            Source::File(maps::file_of(&mapping.path).ok()?)
        };
        let image = Image::of(source)?;
        let moved_by = image.moved_by(mapping.start, mapping.offset)?;
        let index = image.content(".eh_frame_hdr").unwrap_or_default();
        let frames = image.content(".eh_frame").unwrap_or_default();
        Some(Self { mapping, image, moved_by, index, frames })
    }

    fn holds(&self, address: u64) -> bool {
        (self.mapping.start..self.mapping.end).contains(&address)
    }

    fn frames(&self) -> EhFrame<Bytes<'_>> {
        EhFrame::new(&self.frames.1, LittleEndian)
    }

    /// The rules for an address of this object.
    fn rules<'r>(&self, address: u64, rules: &'r mut Rules) -> Option<&'r Row> {
        let bases =
            BaseAddresses::default().set_eh_frame_hdr(self.index.0).set_eh_frame(self.frames.0);
        let index = EhFrameHdr::new(&self.index.1, LittleEndian).parse(&bases, 8).ok()?;
        let table = index.table()?;
        let address = address.wrapping_sub(self.moved_by);
        let cie = EhFrame::cie_from_offset;
        table.unwind_info_for_address(&self.frames(), &bases, rules, address, cie).ok()
    }
}

/// Walks stacks.
pub(crate) struct Unwinder {
    memory: Memory,
    pub(crate) objects: Vec<Object>,
}

impl Unwinder {
    /// For the program as it is now. Code that is loaded later is not known to it.
    pub(crate) fn new() -> io::Result<Self> {
        let memory = Memory::open()?;
        let mappings = maps::executable()?;
        let objects = mappings.into_iter().filter_map(|mapping| Object::of(&memory, mapping));
        let objects: Vec<Object> = objects.collect();
        Ok(Self { memory, objects })
    }

    pub(crate) fn object(&self, address: u64) -> Option<(usize, &Object)> {
        self.objects.iter().enumerate().find(|(_, object)| object.holds(address))
    }

    /// Writes where the thread is and the calls that led there, the latest first; gives how many.
    /// Of a call it is an address within the instruction that calls, not where it returns to.
    pub(crate) fn walk(&self, mut registers: Registers, calls: &mut [u64]) -> usize {
        let mut window = Window::of(&self.memory);
        let mut rules = Rules::new_in();
        let mut count = 0;
        for call in calls {
            // Where a call returns to may be in the next function, if it never does.
            let returned = u64::from(count > 0);
            let Some(address) = registers.0[INSTRUCTION].checked_sub(returned) else { break };
            let Some((_, object)) = self.object(address) else { break };
            *call = address;
            count += 1;
            let caller = caller(object, address, &registers, &mut rules, &mut window);
            // A stack grows downwards, so that whoever called is further up; if not, the stack is
            // none.
            let Some(caller) =
                caller.filter(|caller| caller.0[STACK_POINTER] > registers.0[STACK_POINTER])
            else {
                break;
            };
            registers = caller;
        }
        count
    }
}

/// The registers as they are in the caller; `None` if there is none, or if it is not to be found.
fn caller(
    object: &Object,
    address: u64,
    registers: &Registers,
    rules: &mut Rules,
    window: &mut Window<'_>,
) -> Option<Registers> {
    let row = object.rules(address, rules)?;
    let frame = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            registers.get(*register)?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(expression) => evaluated(object, *expression, registers, None, window)?,
    };
    let mut caller = *registers;
    for number in PRESERVED {
        let value = match row.register(Register(number as u16)) {
            Some(RegisterRule::Offset(offset)) => window.word(frame.wrapping_add_signed(offset))?,
            Some(RegisterRule::ValOffset(offset)) => frame.wrapping_add_signed(offset),
            Some(RegisterRule::Register(other)) => registers.get(other)?,
            Some(RegisterRule::Expression(expression)) => {
                let at = evaluated(object, expression, registers, Some(frame), window)?;
                window.word(at)?
            }
            Some(RegisterRule::ValExpression(expression)) => {
                evaluated(object, expression, registers, Some(frame), window)?
            }
            // The first function of a thread says so: nobody called it.
            _ if number == INSTRUCTION => return None,
            _ => registers.0[number],
        };
        caller.0[number] = value;
    }
    caller.0[STACK_POINTER] = frame;
    Some(caller)
}

/// Most values that an expression works on at once.
const VALUES_MAX: usize = 8;

/// The value of an expression, of the few kinds that compilers and assemblers write.
fn evaluated(
    object: &Object,
    expression: UnwindExpression<usize>,
    registers: &Registers,
    given: Option<u64>,
    window: &mut Window<'_>,
) -> Option<u64> {
    let frames = object.frames();
    let expression = expression.get(&frames).ok()?;
    let encoding = gimli::Encoding { format: gimli::Format::Dwarf32, version: 4, address_size: 8 };
    let mut values = Values { values: [0; VALUES_MAX], len: 0 };
    if let Some(given) = given {
        values.push(given)?;
    }
    let mut operations = expression.operations(encoding);
    while let Some(operation) = operations.next().ok()? {
        match operation {
            Operation::RegisterOffset { register, offset, .. } => {
                values.push(registers.get(register)?.wrapping_add_signed(offset))?;
            }
            Operation::UnsignedConstant { value } => values.push(value)?,
            Operation::SignedConstant { value } => values.push(value as u64)?,
            Operation::PlusConstant { value } => {
                let top = values.pop()?;
                values.push(top.wrapping_add(value))?;
            }
            Operation::Deref { size: 8, space: false, .. } => {
                let address = values.pop()?;
                values.push(window.word(address)?)?;
            }
            Operation::Plus => values.combine(u64::wrapping_add)?,
            Operation::Minus => values.combine(u64::wrapping_sub)?,
            Operation::And => values.combine(|a, b| a & b)?,
            Operation::Shl => values.combine(|a, b| a.wrapping_shl(b as u32))?,
            Operation::Ge => values.combine(at_least)?,
            _ => return None,
        }
    }
    values.pop()
}

/// Whether the first is at least the second, as numbers with a sign.
fn at_least(first: u64, second: u64) -> u64 {
    u64::from(first.cast_signed() >= second.cast_signed())
}

struct Values {
    values: [u64; VALUES_MAX],
    len: usize,
}

impl Values {
    fn push(&mut self, value: u64) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }

    fn combine(&mut self, of: impl Fn(u64, u64) -> u64) -> Option<()> {
        let (right, left) = (self.pop()?, self.pop()?);
        self.push(of(left, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::here;
    use crate::symbols;

    #[inline(never)]
    fn innermost(unwinder: &Unwinder) -> Vec<u64> {
        let mut calls = [0; FRAMES_MAX];
        let count = unwinder.walk(here(), &mut calls);
        calls[..count].to_vec()
    }

    #[inline(never)]
    fn middle(unwinder: &Unwinder, depth: usize) -> Vec<u64> {
        let calls = if depth == 0 { innermost(unwinder) } else { middle(unwinder, depth - 1) };
        std::hint::black_box(calls)
    }

    fn names(unwinder: &Unwinder, calls: &[u64]) -> Vec<String> {
        let found = symbols::of(unwinder, calls);
        let name = |call: &u64| found.get(call).map(|symbol| symbol.name.clone());
        calls.iter().map(|call| name(call).unwrap_or_default()).collect()
    }

    #[test]
    fn a_thread_is_walked_from_where_it_is_to_where_it_began() {
        let unwinder = Unwinder::new().unwrap();
        let walked = |depth| {
            let walk = || middle(&unwinder, depth);
            std::thread::scope(|scope| scope.spawn(walk).join().unwrap())
        };
        let names = names(&unwinder, &walked(5));
        let here = "genie_profile::unwind::tests";
        let is = |name: &String, what: &str| *name == format!("{here}::{what}");
        assert!(is(&names[0], "innermost"), "{names:#?}");
        assert_eq!(names.iter().filter(|name| is(name, "middle")).count(), 6, "{names:#?}");
        // Where threads begin, in the C library.
        assert!(names.iter().any(|name| name.contains("thread_start")), "{names:#?}");
        assert!(walked(2 * FRAMES_MAX).len() == FRAMES_MAX, "what is deep is cut");
    }

    #[test]
    fn registers_that_make_no_sense_end_the_walk() {
        let unwinder = Unwinder::new().unwrap();
        let mut calls = [0; FRAMES_MAX];
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed
        };
        let code = &unwinder.objects[0].mapping;
        let size = code.end - code.start;
        for _ in 0..20_000 {
            let mut registers = Registers(std::array::from_fn(|_| random()));
            if random() & 1 << 40 != 0 {
                // Any place in the code, under a real stack pointer.
                registers.0[INSTRUCTION] = code.start + (random() >> 8) % size;
                registers.0[STACK_POINTER] = &raw const registers as u64;
            }
            assert!(unwinder.walk(registers, &mut calls) <= FRAMES_MAX);
        }
    }
}
