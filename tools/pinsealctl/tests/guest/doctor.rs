// SPDX-License-Identifier: MIT OR Apache-2.0

//! The doctor's door. The doctor itself is tested where packages are installed, and by
//! scripts/check-doctor.

use crate::support::{assert_says, ctl, program, run};
use std::{env, fs, path::Path, process::Command, process::Stdio};

#[test]
fn the_doctor_is_run_where_it_is_installed() {
    let of_system =
        ["/usr/local", "/usr"].map(|prefix| Path::new(prefix).join("lib/pinseal/doctor"));
    if !of_system.iter().any(|doctor| doctor.exists()) {
        let ended = ctl(1, &["doctor"]);
        assert_says(&ended.err, "doctor is not installed");
    }

    let folder = env::temp_dir().join(format!("pinsealctl-{}", std::process::id()));
    let installed = folder.join("bin/pinsealctl");
    let doctor = folder.join("lib/pinseal/doctor");
    for file in [&installed, &doctor] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::copy(program(), file).unwrap();
    }
    let mut command = Command::new(&installed);
    command.args(["doctor", "--root", "/none", "--release", "7"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = run(command);
    fs::remove_dir_all(&folder).unwrap();
    // In the doctor's place there is a program that has no such options.
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_says(&ended.err, "unexpected argument '--root'");
}
