# What runs on a host first: it says whether it has the program, takes it from standard input when it has not, and becomes
# the node. The program's hash and its length in bytes come before this. Lines are joined to one before they are sent: the
# user's own shell reads that first, and csh takes no word of several lines. Programs that nobody has run for a month
# go when another one comes.
set -e;
umask 077;
folder=${XDG_CACHE_HOME:-$HOME/.cache}/regatta/node/$hash;
program=$folder/regatta;
if [ -x "$program" ]; then
    touch "$folder" 2>/dev/null || true;
    echo "regatta: have";
else
    echo "regatta: want";
    mkdir -p "$folder";
    new=$folder/new.$(uname -n).$$;
    trap "rm -f \"\$new\"" EXIT;
    head -c "$length" >"$new";
    if [ "$(wc -c <"$new")" -ne "$length" ]; then
        echo "the program did not arrive whole; is the disk full?" >&2;
        exit 1;
    fi;
    chmod 700 "$new";
    says=$("$new" --version 2>&1) || {
        echo "the program does not run on this host ($(uname -sm)): $says" >&2;
        exit 1;
    };
    mv "$new" "$program";
    find "$folder/.." -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} + 2>/dev/null || true;
fi;
exec "$program" node --join -
