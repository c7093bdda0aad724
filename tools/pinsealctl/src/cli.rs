// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be typed.

use crate::commands::Command;
use clap::Parser;

/// Looks at shared memory of /dev/pinseal, makes it, and seals it
///
/// PID:FD names descriptor FD of process PID, or of the thread with that number. To look at descriptors
/// of other users' processes takes root.
#[derive(Parser)]
#[command(name = "pinsealctl", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a system call failed, or the memory or its state does not allow the command
  2    wrong usage
  3    not sealed: a shared mapping is writable
  4    not sealed: pages are held
  5    no memory
  6    the seal is pending
  7    the seal was cancelled
  69   there is no /dev/pinseal, or no trace events of it
  77   not permitted
  130  interrupted

With --json, a command that fails prints nothing but a line on the standard error output; seal prints
why it has not sealed, and doctor what cannot be used.

Colours are for terminals only, and not with NO_COLOR in the environment.";
