//! What stands before a server and its standby: it leads to whichever is in service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    leads_to: Arc<AtomicU16>,
}

/// Passes on what comes until one side has gone.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 8_192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let leads_to = Arc::new(AtomicU16::new(port));
        let proxy =
            Self { port: listener.local_addr().unwrap().port(), leads_to: leads_to.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let to = ("127.0.0.1", leads_to.load(Ordering::SeqCst));
                // Dropped, it is refused as by a server that is not there.
                let Ok(server) = TcpStream::connect(to) else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from, back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(from, server));
                std::thread::spawn(move || pass(back, client));
            }
        });
        proxy
    }

    /// Leads whoever comes from now on to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.leads_to.store(port, Ordering::SeqCst);
    }
}
