//! All that is `unsafe` here: the registers of a thread, the signal of the clock, the allocator.
//!
//! Each of the three is an interface that Rust can only give as `unsafe`. What happens behind it is
//! safe code in other modules: [`crate::cpu::tick`], [`crate::heap::allocated`] and
//! [`crate::heap::freed`], none of which allocates, waits, panics or reads memory but through the
//! kernel.

#![expect(unsafe_code, reason = "an allocator, a signal handler and registers need it")]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use mimalloc::MiMalloc;

use crate::unwind::Registers;
use crate::{cpu, heap};

/// The registers where this is called, as far as unwind tables ask for them.
#[inline(always)]
#[expect(clippy::inline_always, reason = "in a function of its own they would be that one's")]
pub(crate) fn here() -> Registers {
    let mut registers = [0_u64; 17];
    // SAFETY: registers are copied into an array that is large enough, and nothing else is touched.
    unsafe {
        asm!(
            "mov [{to} + 24], rbx",
            "mov [{to} + 48], rbp",
            "mov [{to} + 56], rsp",
            "mov [{to} + 96], r12",
            "mov [{to} + 104], r13",
            "mov [{to} + 112], r14",
            "mov [{to} + 120], r15",
            "lea {at}, [rip]",
            "mov [{to} + 128], {at}",
            to = in(reg) registers.as_mut_ptr(),
            at = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    Registers(registers)
}

/// Where the registers of the tables are in a signal's context.
const OF_SIGNAL: [c_int; 17] = [
    libc::REG_RAX,
    libc::REG_RDX,
    libc::REG_RCX,
    libc::REG_RBX,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_RBP,
    libc::REG_RSP,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RIP,
];

extern "C" fn ticked(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: every thread has its own `errno`. What was interrupted may be about to read it.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel gives a handler that was installed with `SA_SIGINFO` its context.
    let context = unsafe { &*context.cast::<ucontext_t>() };
    let saved = &context.uc_mcontext.gregs;
    let register = |number: c_int| saved.get(number as usize).map_or(0, |value| *value as u64);
    cpu::tick(&Registers(OF_SIGNAL.map(register)));
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Has [`cpu::tick`] called on a thread whenever the threads have executed for so long altogether;
/// never again if that is zero.
pub(crate) fn tick_every(period: Duration) -> io::Result<()> {
    // The handler stays: a signal may come late, and without one it would end the process.
    // SAFETY: all zeroes are a `sigaction` without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = ticked as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler does only what a signal handler may, and lives as long as the program.
    if unsafe { libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let each = libc::timeval {
        tv_sec: period.as_secs().cast_signed(),
        tv_usec: i64::from(period.subsec_micros()),
    };
    let timer = libc::itimerval { it_interval: each, it_value: each };
    // SAFETY: the timer is read during the call only.
    match unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// [mimalloc](https://docs.rs/mimalloc), whose allocations [`crate::heap()`] can see.
///
/// While nobody looks this costs one relaxed load for each call.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: every call goes to mimalloc as it came, and what it gives goes back as it is; what
// happens besides neither allocates nor touches the memory.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let given = unsafe { MiMalloc.alloc(layout) };
        if heap::is_watched() {
            heap::allocated(given.addr(), layout.size());
        }
        given
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let given = unsafe { MiMalloc.alloc_zeroed(layout) };
        if heap::is_watched() {
            heap::allocated(given.addr(), layout.size());
        }
        given
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // First, since another thread may get the same address at once.
        if heap::is_watched() {
            heap::freed(pointer.addr());
        }
        // SAFETY: as the caller promises.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !heap::is_watched() {
            // SAFETY: as the caller promises.
            return unsafe { MiMalloc.realloc(pointer, layout, size) };
        }
        let before = heap::freed(pointer.addr());
        // SAFETY: as the caller promises.
        let given = unsafe { MiMalloc.realloc(pointer, layout, size) };
        if given.is_null() {
            heap::stays(pointer.addr(), before);
        } else {
            heap::allocated(given.addr(), size);
        }
        given
    }
}
