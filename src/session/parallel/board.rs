//! What the engines of one call share, made for it and gone with it: on one host a page of numbers, for those of a cluster
//! values of a server, which nodes lead to.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use regatta_cell::shell::{BOARD, Board, board, served};
use regatta_cell::store::call::Call;

use crate::session::Session;
use crate::store::{Server, connect};

/// As long as it is there, engines find the board.
#[derive(Debug)]
pub(super) enum Shared {
    Page {
        page: File,
        mark: u64,
    },
    Served(Served),
    /// Nothing is to be shared.
    Nothing,
}

/// Its values go when it is dropped.
#[derive(Debug)]
pub(super) struct Served {
    address: String,
    mark: u64,
}

impl Drop for Served {
    fn drop(&mut self) {
        let Ok(mut server) = connect(&self.address) else {
            return;
        };
        // Those who wait for word of its halt are told; who asks later finds it for a while.
        let over = Call::Set {
            key: served::halted(self.mark),
            value: served::OVER.to_string(),
            expire: Some(60_000),
        };
        let keys = vec![served::count(self.mark), served::times(self.mark)];
        for call in [over, Call::Delete { keys }] {
            server.call(&call, &|| false);
        }
    }
}

impl Shared {
    /// A page for engines of this host.
    pub fn page() -> io::Result<Self> {
        let page = crate::wire::memory_file()?;
        page.set_len(board::LENGTH)?;
        let mark = fastrand::u64(1..);
        page.write_all_at(&mark.to_ne_bytes(), 8 * board::MARK as u64)?;
        Ok(Self::Page { page, mark })
    }

    /// How engines find it.
    pub fn place(&self) -> Option<Board> {
        match self {
            Self::Page { page, mark } => Some(Board::Page {
                path: format!("/proc/{}/fd/{}", std::process::id(), page.as_raw_fd()),
                mark: *mark,
            }),
            Self::Served(Served { mark, .. }) => Some(Board::Served { mark: *mark }),
            Self::Nothing => None,
        }
    }
}

impl Session {
    /// A board for engines of a cluster.
    pub(super) fn served_board(&mut self) -> io::Result<Shared> {
        let address = self.name_boards()?;
        let mark = fastrand::u64(1..);
        Ok(Shared::Served(Served { address, mark }))
    }

    /// Tells engines where the server of boards is, which runs from then on. Those that come later are told at their start.
    pub(in crate::session) fn name_boards(&mut self) -> io::Result<String> {
        let server = match &self.boards {
            Some(server) => server,
            None => self.boards.insert(Server::start()?),
        };
        let address = server.address().to_owned();
        self.crew.hub().set_environment(BOARD, Some(&address));
        Ok(address)
    }
}
