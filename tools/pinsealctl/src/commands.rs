// SPDX-License-Identifier: MIT OR Apache-2.0

//! The commands, one module each.

mod doctor;
mod hold;
mod info;
mod leases;
mod ls;
mod making;
mod new;
mod pins;
mod run;
mod seal;
mod show;
mod trace;
mod watch;
mod who;

use crate::{
    exit::{Exit, Result},
    output::Output,
};
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    Info(info::Args),
    Ls(ls::Args),
    Show(show::Args),
    Pins(pins::Args),
    Leases(leases::Args),
    New(new::Args),
    Run(run::Args),
    Seal(seal::Args),
    Watch(watch::Args),
    Who(who::Args),
    Trace(trace::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    Hold(hold::Args),
}

pub(crate) fn run(command: &Command, output: &mut Output) -> Result<Exit> {
    match command {
        Command::Info(args) => info::run(args, output),
        Command::Ls(args) => ls::run(args, output),
        Command::Show(args) => show::run(args, output),
        Command::Pins(args) => pins::run(args, output),
        Command::Leases(args) => leases::run(args, output),
        Command::New(args) => new::run(args, output),
        Command::Run(args) => run::run(args),
        Command::Seal(args) => seal::run(args, output),
        Command::Watch(args) => watch::run(args, output),
        Command::Who(args) => who::run(args, output),
        Command::Trace(args) => trace::run(args, output),
        Command::Doctor(args) => doctor::run(args, output),
        Command::Hold(args) => hold::run(args),
    }
}
