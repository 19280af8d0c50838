# shellcheck shell=bash
# A private apt: its own lists, cache and source entries in a folder of ours, so that neither the
# machine's package lists nor its configuration change. Sourced by fetch.sh, foreign-musl.sh and
# tests/driver.sh.
#
#   apt_private DIR TYPE ARCH   prepare DIR for TYPE (deb or deb-src) entries of architecture ARCH
#   apt_update                  fetch the lists
#   apt_get ARG...              apt-get under that configuration
#   apt_archives                the archive's base URIs, each once
#   apt_download URI FILE       one file, by apt's own download methods (its proxies, its mirrors);
#                               the caller checks its digest
#
# The entries are the machine's own: those of the distribution's archive, and nobody else's. An
# entry is taken for the archive's when its suite is the release's code name or one of its pockets,
# and its components hold "main" (other vendors' entries fail one of the two).

apt_die()
{
    printf 'apt: %s\n' "$*" >&2
    exit 1
}

# Both awk programs print one-line entries: "TYPE [options] URI SUITE COMPONENT...".
apt_entries_oneline()
{
    awk -v type="$1" -v code="$2" '
        function archive(suite, rest) {
            return index("|" code "|" code "-updates|" code "-security|" code "/updates|",
                         "|" suite "|") && index(" " rest " ", " main ")
        }
        $1 == "deb" || $1 == "deb-src" {
            options = ""; line = $0
            sub(/#.*/, "", line); sub(/^[ \t]*deb(-src)?[ \t]+/, "", line)
            if (match(line, /^\[[^]]*\]/)) {
                options = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 1)
                gsub(/arch[+-]?=[^ ]*/, "", options)
            }
            n = split(line, word, " "); rest = ""
            for (i = 3; i <= n; i++) rest = rest " " word[i]
            if (n >= 3 && archive(word[2], rest))
                print type " [" options "] " word[1] " " word[2] rest
        }' "$3"
}

apt_entries_deb822()
{
    awk -v type="$1" -v code="$2" '
        function archive(suite) {
            return index("|" code "|" code "-updates|" code "-security|" code "/updates|",
                         "|" suite "|") && index(" " field["components"] " ", " main ")
        }
        function flush(   i, j, nu, ns, uri, suite, options) {
            if (field["uris"] != "" && tolower(field["enabled"]) !~ /^(no|false|0)$/ &&
                field["signed-by"] !~ /BEGIN PGP/) {
                options = field["signed-by"] == "" ? "" : "signed-by=" field["signed-by"]
                nu = split(field["uris"], uri, " "); ns = split(field["suites"], suite, " ")
                for (i = 1; i <= nu; i++)
                    for (j = 1; j <= ns; j++)
                        if (archive(suite[j]))
                            print type " [" options "] " uri[i] " " suite[j] " " field["components"]
            }
            split("", field)
        }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ { field[name] = field[name] " " $0; next }
        {
            name = tolower(substr($0, 1, index($0, ":") - 1))
            value = substr($0, index($0, ":") + 1)
            gsub(/^[ \t]+|[ \t]+$/, "", value); gsub(/[ \t]+/, " ", value)
            field[name] = value
        }
        END { flush() }' "$3"
}

apt_entries()
{
    local type=$1 code file parts list
    code=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    [ -n "$code" ] || apt_die "/etc/os-release names no VERSION_CODENAME"
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    for file in "$list" "$parts"/*.list; do
        [ ! -f "$file" ] || apt_entries_oneline "$type" "$code" "$file"
    done
    for file in "$parts"/*.sources; do
        [ ! -f "$file" ] || apt_entries_deb822 "$type" "$code" "$file"
    done
}

apt_private()
{
    local dir=$1 type=$2 arch=$3
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    dir=$(cd "$dir" && pwd)
    apt_entries "$type" | LC_ALL=C sort -u >"$dir/sources.list"
    [ -s "$dir/sources.list" ] ||
        apt_die "no entry of the distribution's own archive among this machine's apt sources"
    # -c is read after the machine's configuration, whose proxies stay in force; hooks would be run
    # for the machine's lists, not ours.
    cat >"$dir/apt.conf" <<EOF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::CNF;
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$dir/lists";
Dir::Cache "$dir/cache";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
Acquire::Languages "none";
EOF
    # As root, apt would download as another user, who may not write here.
    [ "$(id -u)" -ne 0 ] || printf 'APT::Sandbox::User "root";\n' >>"$dir/apt.conf"
    APT_PRIVATE=$dir
}

apt_get()
{
    apt-get -qq -c "$APT_PRIVATE/apt.conf" "$@"
}

apt_archives()
{
    sed 's/^[^ ]* \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/; s|/*$||' "$APT_PRIVATE/sources.list" |
        LC_ALL=C sort -u
}

apt_update()
{
    apt_get update </dev/null >&2 || apt_die "the package lists could not be fetched"
}

apt_download()
{
    /usr/lib/apt/apt-helper -qq -c "$APT_PRIVATE/apt.conf" download-file "$1" "$2" </dev/null >&2
}
