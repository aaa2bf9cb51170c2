//! A request of MPI's: how it ends, by being done or by being taken back.

use std::ffi::{c_int, c_void};

use super::mpi_layout::Came;
use super::mpi_waiting::Vigil;
use crate::engine::mpi::Mpi as Library;
use crate::engine::mpi::shim::Check;

/// One that has not ended: it does so once.
#[derive(Clone, Copy)]
pub(super) struct Handle(pub(super) *mut c_void);

/// What has come of asking for a request's end.
pub(super) struct Ended {
    /// An error of MPI's, [`crate::engine::mpi::shim::GIVEN_UP`], or 0.
    pub code: c_int,
    /// The request has ended; otherwise it goes on.
    pub done: bool,
    /// Of a receive that is done.
    pub came: Came,
    /// How long it was waited for, nanoseconds.
    pub waited: u64,
}

impl Handle {
    /// Ends it if MPI is done with it, or waits until that is so. A vigil is kept meanwhile by this function of its.
    pub fn end(
        self,
        library: &Library,
        wait: bool,
        vigil: Option<(Check, &mut Vigil<'_>)>,
    ) -> Ended {
        let (look, context) = match vigil {
            Some((look, vigil)) => (Some(look), std::ptr::from_mut(vigil).cast()),
            None => (None, std::ptr::null_mut()),
        };
        let (mut done, mut source, mut tag, mut length, mut waited) = (0, 0, 0, 0, 0);
        // SAFETY: the handle is one of MPI's that has not ended, and the vigil lives for the call.
        let code = unsafe {
            (library.shim.end)(
                self.0,
                c_int::from(wait),
                &raw mut done,
                &raw mut source,
                &raw mut tag,
                &raw mut length,
                look,
                context,
                &raw mut waited,
            )
        };
        Ended {
            code,
            done: done != 0,
            came: Came::of(source, tag, length),
            waited,
        }
    }

    /// Takes a receive back: an error of MPI's, or what has come for it in this moment.
    pub fn cancel(self, library: &Library) -> Result<Option<Came>, c_int> {
        let (mut has_come, mut source, mut tag, mut length) = (0, 0, 0, 0);
        // SAFETY: the handle is one of MPI's that has not ended.
        let code = unsafe {
            (library.shim.cancel)(
                self.0,
                &raw mut has_come,
                &raw mut source,
                &raw mut tag,
                &raw mut length,
            )
        };
        match code {
            0 => Ok((has_come != 0).then(|| Came::of(source, tag, length))),
            code => Err(code),
        }
    }
}
