//! Makes system calls of one thread fail, as a bad disk would.
#![allow(unsafe_code)]

use nix::libc;

/// From here on, in this thread and for its whole life, these system calls fail with this error.
pub(super) fn refuse(calls: &[libc::c_long], errno: i32) {
    let load_number = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    let allow = instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
    let fail = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let fail = instruction(libc::BPF_RET | libc::BPF_K, 0, 0, fail);
    let mut program = vec![load_number];
    for (index, call) in calls.iter().enumerate() {
        let to_fail = u8::try_from(calls.len() - index).unwrap();
        let number = u32::try_from(*call).unwrap();
        let is_call = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(instruction(is_call, to_fail, 0, number));
    }
    program.extend([allow, fail]);
    install(program);
}

/// From here on, in this thread, no file can be opened for writing or created.
pub(super) fn refuse_opening_to_write(errno: i32) {
    const FLAGS: u32 = 16 + 2 * 8; // The low half of the third argument.
    let to_write = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT).cast_unsigned();
    let openat = u32::try_from(libc::SYS_openat).unwrap();
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let fail = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    install(vec![
        instruction(load, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 2, openat),
        instruction(load, 0, 0, FLAGS),
        instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, 0, to_write),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, fail),
    ]);
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k }
}

fn install(mut program: Vec<libc::sock_filter>) {
    let length = u16::try_from(program.len()).unwrap();
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: both calls only read their arguments; `filter` points to `program`, which lives
    // until the kernel has copied it. They bind this thread alone, and take no memory from it.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    };
    assert!(installed, "{}", std::io::Error::last_os_error());
}
