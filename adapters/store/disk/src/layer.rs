//! The file layer as SQLite wants it: tables of C functions over memory that SQLite owns.
//!
//! A file of this layer is a [`Layered`] with the file of the layer below right behind it in the
//! same memory, which SQLite allocates as large as [`register`] says.

#![expect(unsafe_code, reason = "SQLite takes its file layer as a table of C functions")]
#![expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "sizes are small")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libsqlite3_sys::{
    SQLITE_FULL, SQLITE_IOERR, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL,
    SQLITE_OPEN_SUPER_JOURNAL, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_filename, sqlite3_int64,
    sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::{Answer, DISK, Disk, FileId, Operation};

/// An open file of this layer.
#[repr(C)]
struct Layered {
    /// What SQLite knows of it.
    base: sqlite3_file,
    /// `None` if it is not watched.
    id: Option<FileId>,
    /// Whether the layer below syncs the directory with the next sync of the file, as it does the
    /// first time for a journal or log that it may have made.
    is_new: bool,
}

/// The functions of a file. Without those of version 3 SQLite maps no file into memory, so that
/// every write comes by here.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this layer the default one, above the one that is.
pub(crate) fn register() -> Result<(), &'static str> {
    // SAFETY: a null name asks for the default layer, which lives as long as the process.
    let below = unsafe { sqlite3_vfs_find(ptr::null()) };
    // SAFETY: SQLite gives null or a valid layer, which nobody changes once it is registered.
    let Some(of_system) = (unsafe { below.as_ref() }) else {
        return Err("SQLite has no file layer");
    };
    let layer = Box::new(sqlite3_vfs {
        szOsFile: size_of::<Layered>() as c_int + of_system.szOsFile,
        pNext: ptr::null_mut(),
        zName: c"genie-disk".as_ptr(),
        pAppData: below.cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        // The rest asks nothing of a file, and the layer of the system keeps nothing in `pAppData`
        // that these functions of it look at.
        ..*of_system
    });
    // SAFETY: the layer is leaked, and so lives as long as the process.
    match unsafe { sqlite3_vfs_register(Box::leak(layer), 1) } {
        SQLITE_OK => Ok(()),
        _ => Err("SQLite does not take the file layer"),
    }
}

/// The file of the layer below.
///
/// # Safety
/// `file` is one that SQLite has opened with this layer.
unsafe fn below(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite allocates as much as `register` says, so that it lies right behind.
    unsafe { file.cast::<Layered>().add(1).cast() }
}

/// Calls a function of the file below; a function that it does not have fails.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite gives a file that `open` has opened, so the one below is open, too, and
        // its table lives as long as the process; the arguments are passed on as they came.
        unsafe {
            let below = below($file);
            match (*(*below).pMethods).$method {
                Some(method) => method(below $(, $argument)*),
                None => SQLITE_IOERR,
            }
        }
    }};
}

/// What the disk says to an operation on a file; one that is not watched has nothing against it.
fn ask(file: *mut sqlite3_file, operation: Operation<'_>) -> Answer {
    // SAFETY: as in `below`; `id` was written by `open`.
    let id = unsafe { (*file.cast::<Layered>()).id };
    match (DISK.get(), id) {
        (Some(disk), Some(id)) => disk.apply(id, operation),
        _ => Answer::Done,
    }
}

/// The code for an answer, if it is not the answer of the layer below.
fn code(answer: Answer, failed: c_int) -> Option<c_int> {
    match answer {
        Answer::Done => None,
        Answer::Full => Some(SQLITE_FULL),
        Answer::Failed => Some(failed),
    }
}

/// The watched file of a name.
///
/// # Safety
/// `name` is null or a text with a zero at its end.
unsafe fn watched(name: *const c_char) -> Option<(&'static Disk, FileId)> {
    let disk = DISK.get()?;
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    let name = unsafe { CStr::from_ptr(name) };
    Some((disk, disk.file(Path::new(name.to_str().ok()?))?))
}

unsafe extern "C" fn open(
    layer: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives the registered layer, memory of the size that it asks for, and a name
    // that is null or ends with a zero. The file is looked up first: opening may make it.
    unsafe {
        let id = watched(name).map(|(_, id)| id);
        let layered = file.cast::<Layered>();
        let of_log = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
        let is_new = flags & SQLITE_OPEN_CREATE != 0 && flags & of_log != 0;
        layered.write(Layered { base: sqlite3_file { pMethods: ptr::null() }, id, is_new });
        let system = (*layer).pAppData.cast::<sqlite3_vfs>();
        let Some(open) = (*system).xOpen else { return SQLITE_IOERR };
        let done = open(system, name, below(file), flags, out_flags);
        // Null says that there is nothing to close.
        if !(*below(file)).pMethods.is_null() {
            (*layered).base.pMethods = &raw const METHODS;
        }
        done
    }
}

unsafe extern "C" fn delete(
    layer: *mut sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite gives the registered layer and a name that ends with a zero.
    unsafe {
        if let Some((disk, id)) = watched(name) {
            let answer = disk.apply(id, Operation::Remove { durable: sync_directory != 0 });
            if let Some(code) = code(answer, SQLITE_IOERR_DELETE) {
                return code;
            }
        }
        let system = (*layer).pAppData.cast::<sqlite3_vfs>();
        let Some(delete) = (*system).xDelete else { return SQLITE_IOERR };
        // Nothing is really synced: a test would take hours.
        delete(system, name, 0)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    pass!(file, xClose)
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    pass!(file, xRead, into, amount, offset)
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives as many bytes as it says.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), amount as usize) };
    let answer = ask(file, Operation::Write { at: offset as usize, bytes });
    match code(answer, SQLITE_IOERR_WRITE) {
        Some(code) => code,
        None => pass!(file, xWrite, from, amount, offset),
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    let answer = ask(file, Operation::Size(size as usize));
    match code(answer, SQLITE_IOERR_TRUNCATE) {
        Some(code) => code,
        None => pass!(file, xTruncate, size),
    }
}

/// Nothing is really synced: a test would take hours.
unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: as in `below`; `is_new` was written by `open`, and SQLite uses a file in one thread.
    let names = unsafe { std::mem::take(&mut (*file.cast::<Layered>()).is_new) };
    code(ask(file, Operation::Sync { names }), SQLITE_IOERR_FSYNC).unwrap_or(SQLITE_OK)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    pass!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    pass!(file, xShmMap, page, bytes, extend, out)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    pass!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in `pass!`.
    unsafe {
        let below = below(file);
        if let Some(barrier) = (*(*below).pMethods).xShmBarrier {
            barrier(below);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}
