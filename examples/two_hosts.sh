#!/bin/sh
# Makes two "machines" of this one, for examples/cluster.md and the tests: network namespaces that reach each other over
# a cable of their own, each with an sshd, and with nothing of Rust. Needs root, iproute2 and openssh-server.
#
#   two_hosts.sh up DIR      makes them; DIR/config is what ssh needs to know: ssh -F DIR/config node1
#   two_hosts.sh kill DIR 2  ends all that runs on the second
#   two_hosts.sh down DIR    takes them away again
#
# With HOSTS=4 in the environment they are four; 32 at most.
set -eu
verb=${1:-} dir=${2:-}
[ -n "$dir" ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
# Which of 250 networks is theirs; of the addresses that are for tests (RFC 2544).
net=$(cat "$dir/net" 2>/dev/null || true)
all=$(seq "$(cat "$dir/hosts" 2>/dev/null || echo "${HOSTS:-2}")")
host() { echo "rg$net-$1"; }
# This machine's end of a host's cable, and the host's.
here() { echo "198.18.$net.$((8 * $1 - 7))"; }
there() { echo "198.18.$net.$((8 * $1 - 6))"; }

down() {
    [ -n "$net" ] || return 0
    for n in $all; do
        [ -e "$dir/sshd$n.pid" ] && kill "$(cat "$dir/sshd$n.pid")" 2>/dev/null || true
        ip netns pids "$(host $n)" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "$(host $n)" 2>/dev/null || true
        ip link del "rg$net-$n" 2>/dev/null || true
    done
    rm -rf "$dir"
}

# Its sshd too: the host is gone.
kill_host() {
    ip netns pids "$(host "${1:?which}")" | xargs -r kill -9
}

up() {
    for program in ip sshd ssh ssh-keygen unshare; do
        PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "two_hosts.sh: there is no $program" >&2; exit 1; }
    done
    mkdir -p -m 700 "$dir"
    mkdir -p /run/sshd
    # What is half made is taken away.
    trap 'down' EXIT
    dir=$(cd "$dir" && pwd)
    ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/hostkey"
    cp "$dir/key.pub" "$dir/authorized"
    net=1
    until ip netns add "$(host 1)" 2>/dev/null; do
        net=$((net + 1))
        [ $net -le 250 ] || { echo "two_hosts.sh: no network can be made; is this root?" >&2; exit 1; }
    done
    echo $net >"$dir/net"
    echo "$all" | tail -n 1 >"$dir/hosts"
    for n in $all; do
        [ "$n" = 1 ] || ip netns add "$(host $n)"
        ip link add "rg$net-$n" type veth peer name eth0 netns "$(host $n)"
        ip addr add "$(here $n)/29" dev "rg$net-$n"
        ip link set "rg$net-$n" up
        ip -n "$(host $n)" addr add "$(there $n)/29" dev eth0
        ip -n "$(host $n)" link set eth0 up
        ip -n "$(host $n)" link set lo up
        ip -n "$(host $n)" route add default via "$(here $n)"
        mkdir -p "$dir/home$n"
        cat >"$dir/sshd$n.conf" <<END
Port 22
ListenAddress $(there $n)
HostKey $dir/hostkey
PidFile $dir/sshd$n.pid
AuthorizedKeysFile $dir/authorized
PasswordAuthentication no
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
SetEnv HOME=$dir/home$n XDG_CACHE_HOME=$dir/home$n/.cache
END
        # A host of its own: another name, and none of this user's files of Rust.
        ip netns exec "$(host $n)" unshare --mount --uts sh -c "
            hostname node$n
            for hidden in \"\$HOME/.cargo\" \"\$HOME/.rustup\" \"\$HOME/.cache\" /usr/local/cargo /usr/local/rustup; do
                [ -d \"\$hidden\" ] && mount -t tmpfs none \"\$hidden\"
            done
            exec \"\$(PATH=\$PATH:/usr/sbin command -v sshd)\" -f '$dir/sshd$n.conf' -E '$dir/sshd$n.log'"
        cat >>"$dir/config" <<END
Host node$n
    HostName $(there $n)
    User $(id -un)
    IdentityFile $dir/key
    IdentitiesOnly yes
    UserKnownHostsFile $dir/known
    StrictHostKeyChecking no
END
    done
    trap - EXIT
}

case $verb in
up | down) $verb ;;
kill) kill_host "${3:-}" ;;
*) echo "two_hosts.sh: up, kill or down, not '$verb'" >&2; exit 2 ;;
esac
