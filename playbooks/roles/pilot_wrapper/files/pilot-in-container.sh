#!/bin/sh
# Runs a pilot wholly inside a container: looks at the node, starts itself once more inside, tries there whether a container
# for a payload can start, and then becomes the pilot.
#
# Of the node it needs a POSIX shell, coreutils, sed and what Apptainer needs, and the same but sed of the container image: it
# is meant for nodes whose system cannot run the pilot, and there may be no Python. It needs no rights.

set +aCefux # bash takes such options from its caller: they would end this, or tell credentials to the log
PROGRAM=pilot-in-container
NOT_STARTED=125 # as env(1) and timeout(1) have it: the fault is this program's or the node's, and the pilot has not run
INSIDE=/run/pilot-in-container
CREDENTIALS=/run/credentials
WORK=/srv
EVERY=5 # seconds between two looks at credentials that may have been renewed
PATIENCE=10 # seconds that a pilot has to end in after somebody has killed this program
TRIAL=600 # seconds after which a container for a payload does not come any more
APART='--contain --ipc --pid --cleanenv'
NEWLINE='
'
NODE=$(uname -n)

usage() {
    cat <<END
usage: $PROGRAM [--settings FILE] [OPTION]... [--] COMMAND [ARGUMENT]...

Runs COMMAND, a pilot, in a container. Its work folder $WORK is the folder that this is started in.

  --settings FILE       the settings; only as the first option; default: /etc/$PROGRAM.conf, if there
  --apptainer FILE      the Apptainer that starts the container, and containers for payloads inside
  --image PATH          the container image that the pilot runs in
  --payload-image PATH  the one that is tried inside first; the pilot's own if not told, and no trial with 'none'
  --bind PATH[:PATH]    one more path of the node to bind; may be told again
  --pass NAME           one more variable to hand to the pilot; may be told again

Exit code: the pilot's own; $NOT_STARTED if it was not started, and the last line says why.
END
}

log() { # log WORD...
    (IFS=' ' && printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$PROGRAM" "$*" >&2)
}

refuse() { # refuse WORD...: the pilot is not started
    log "$@"
    exit "$NOT_STARTED"
}

# --- What was asked for ----------------------------------------------------------------------------------------------

take() { # take KEY VALUE: one setting, of the file or of the command line
    case $1/$2 in payload-image/none) ;; apptainer/* | image/* | payload-image/* | bind/*) absolute "$@" ;; esac
    case $1 in
    apptainer) apptainer=$2 ;;
    image) image=$2 ;;
    payload-image) payload_image=$2 ;;
    bind) binds=${binds:+$binds$NEWLINE}$2 ;;
    pass)
        case $2 in
        '' | [0-9]* | *[!A-Za-z0-9_]*) refuse "pass: '$2' is no name of a variable." ;;
        LD_* | APPTAINER* | SINGULARITY* | PATH | HOME | BEARER_TOKEN* | X509_USER_PROXY)
            refuse "pass: '$2' is not handed in like this; credentials go by file, and the container has its own paths." ;;
        esac
        passed=${passed:+$passed$NEWLINE}$2 ;;
    *) refuse "there is no setting '$1'; there are apptainer, image, payload-image, bind and pass." ;;
    esac
}

absolute() { # absolute KEY PATH
    case $2 in
    *"$NEWLINE"* | *,* | */../* | */..) refuse "$1: '$2' has a comma, a line end or '..' in it, which a path may not have here." ;;
    /*) ;;
    *) refuse "$1: '$2' is no absolute path." ;;
    esac
}

read_settings() { # read_settings FILE: lines KEY = VALUE, empty lines, and comments that begin with '#'
    # Asked first: a shell that cannot open a file may end at once, and without a sentence.
    [ -f "$1" ] && [ -r "$1" ] || refuse "the settings '$1' are not there or cannot be read."
    while IFS= read -r line || [ -n "$line" ]; do
        trim "$line"
        case $trimmed in
        '' | '#'*) continue ;;
        *=*) ;;
        *) refuse "'$1': '$trimmed' is no line KEY = VALUE." ;;
        esac
        trim "${line%%=*}"
        key=$trimmed
        trim "${line#*=}"
        take "$key" "$trimmed"
    done <"$1"
}

trim() { # trim TEXT: sets 'trimmed'
    trimmed=${1#"${1%%[![:space:]]*}"}
    trimmed=${trimmed%"${trimmed##*[![:space:]]}"}
}

# --- What the node has -----------------------------------------------------------------------------------------------

look_at_node() {
    [ -f "$apptainer" ] && [ -x "$apptainer" ] ||
        refuse "Apptainer '$apptainer' on $NODE $(missing "$apptainer" 'is no program that this account may run'). See whether" \
            "its file system is mounted there, and whether 'apptainer' is right."
    fit "$image"
    case $payload_image in none) ;; *) fit "$payload_image" ;; esac
    for bound in $binds; do
        [ -e "${bound%%:*}" ] || refuse "'${bound%%:*}', which is to be bound, $(missing "${bound%%:*}" 'cannot be reached')" \
            "on $NODE. Mount it, or take it out of 'bind'."
    done
    case $PWD in
    / | /tmp | /var/tmp | /dev/shm | *\"* | *"$NEWLINE"*)
        refuse "the pilot cannot work in '$PWD'. Start this in the job's own folder." ;;
    esac
    case $home/ in
    "$PWD"/*) refuse "the pilot would work in '$PWD', which is or holds the account's home. Start this in the job's own folder." ;;
    esac
    [ -w "$PWD" ] || refuse "the pilot cannot write into '$PWD', where this was started."
}

missing() { # missing PATH OTHERWISE: why it cannot be reached, in the kernel's words
    if said=$(LC_ALL=C ls -d -- "$1" 2>&1 >/dev/null); then echo "$2"; else echo "cannot be reached: ${said##*: }"; fi
}

fit() { # fit IMAGE: refuse a container image that cannot be used, by its name
    [ -e "$1" ] || refuse "the container image '$1' on $NODE $(missing "$1" 'is not there'). See whether its CVMFS repository is" \
        "served there, and whether the name is right."
    if [ ! -r "$1" ] || { [ -d "$1" ] && [ ! -x "$1" ]; }; then
        refuse "the container image '$1' cannot be read on $NODE: Permission denied for '$(id -un)'."
    fi
    theirs=$(machine "$(a_program "$1")") mine=$(machine /proc/self/exe)
    case $theirs/$mine in
    /* | */ | 3/62) ;; # not known; or an x86-64 that runs the older kind, too
    *) [ "$theirs" = "$mine" ] ||
        refuse "the container image '$1' is for $(named "$theirs"), and $NODE is $(uname -m). Take one for this kind of processor." ;;
    esac
}

a_program() { # a_program IMAGE: a program of an unpacked image, its links read as the container would
    for program in bin/sh bin/bash usr/bin/env bin/busybox; do
        found=$1/$program
        for _ in 1 2 3 4 5 6 7 8; do
            [ -L "$found" ] || break
            target=$(readlink "$found")
            case $target in /*) found=$1$target ;; *) found=${found%/*}/$target ;; esac
        done
        if [ -f "$found" ] && [ ! -L "$found" ]; then
            echo "$found"
            return
        fi
    done
}

machine() { # machine FILE: the number of the kind of processor that an ELF program is for
    [ -r "$1" ] || return 0
    unset IFS # a subshell's own
    # shellcheck disable=SC2046 # the bytes are to be words
    set -- $(od -An -v -tu1 -N20 "$1" 2>/dev/null)
    [ "$#" = 20 ] && [ "$1 $2 $3 $4" = '127 69 76 70' ] || return 0
    echo $(($6 == 2 ? ${19} * 256 + ${20} : ${20} * 256 + ${19}))
}

named() { # named NUMBER, as elf.h has them
    case $1 in
    3) echo i386 ;; 21) echo ppc64le ;; 22) echo s390x ;; 40) echo arm ;; 62) echo x86_64 ;; 183) echo aarch64 ;;
    243) echo riscv64 ;; *) echo "machine $1" ;;
    esac
}

# --- What the pilot is given -----------------------------------------------------------------------------------------

# A copy of each, in a folder that the container sees: a bind of the file itself would keep what the file was when the pilot
# began, since whoever renews a credential puts a new file in its place.
find_credentials() {
    sources=
    if [ -n "${X509_USER_PROXY:-}" ]; then
        source_of X509_USER_PROXY "$X509_USER_PROXY"
    elif own "/tmp/x509up_u$user"; then
        source_of X509_USER_PROXY "/tmp/x509up_u$user"
    fi
    # In the order of WLCG's bearer token discovery. The first of them is no file, and so becomes one.
    if [ -n "${BEARER_TOKEN:-}" ]; then
        printf '%s\n' "$BEARER_TOKEN" >"$scratch/credentials/BEARER_TOKEN_FILE" || no_room
        log "BEARER_TOKEN is given to the pilot as a file, and is not renewed."
    elif [ -n "${BEARER_TOKEN_FILE:-}" ]; then
        source_of BEARER_TOKEN_FILE "$BEARER_TOKEN_FILE"
    elif [ -n "${XDG_RUNTIME_DIR:-}" ] && own "$XDG_RUNTIME_DIR/bt_u$user"; then
        source_of BEARER_TOKEN_FILE "$XDG_RUNTIME_DIR/bt_u$user"
    elif own "/tmp/bt_u$user"; then
        source_of BEARER_TOKEN_FILE "/tmp/bt_u$user"
    fi
    renew
    for source in $sources; do
        [ -s "$scratch/credentials/${source%%=*}" ] ||
            refuse "the file that ${source%%=*} names is empty, or there is no room for its copy in '$scratch'."
    done
    # shellcheck disable=SC2012 # these two names hold nothing that ls would spoil
    log "credentials: $(ls "$scratch/credentials" | tr '\n' ' ')"
}

# shellcheck disable=SC3067 # dash, bash, ksh and busybox have '-O'
own() { # own FILE: there, and nobody else's, who might have put it into /tmp
    [ -f "$1" ] && [ -r "$1" ] && [ -O "$1" ]
}

source_of() { # source_of VARIABLE FILE; its value is told to nobody: it may be the secret itself
    [ -f "$2" ] && [ -r "$2" ] || refuse "the file that $1 names is not there or cannot be read on $NODE."
    sources=${sources:+$sources$NEWLINE}$1=$2
}

renew() { # renew: what has changed since; a reader finds the old or the new one, and no half
    for source in $sources; do
        copy=$scratch/credentials/${source%%=*}
        now=$(cat -- "${source#*=}" 2>/dev/null) && [ -n "$now" ] || continue
        [ ! -f "$copy" ] || [ "$now" != "$(cat "$copy")" ] || continue
        printf '%s\n' "$now" >"$scratch/new" && mv -f "$scratch/new" "$copy"
    done
}

write_settings() { # for this program inside
    for setting in apptainer payload_image binds; do
        eval "value=\$$setting"
        printf '%s=%s\n' "$setting" "$(quoted "$value")" || return
    done
}

write_environment() { # for the pilot; by a file, since the words of a command are in the list of processes
    for name in $passed; do given "$name" || return; done
    for name in X509_USER_PROXY BEARER_TOKEN_FILE; do
        [ ! -f "$scratch/credentials/$name" ] || echo "export $name=$CREDENTIALS/$name" || return
    done
}

given() { # given NAME: what the job has set, as the kernel has it: in this shell the name may be one of this program's own
    tr '\n\0' '\001\n' <"/proc/$$/environ" | sed -n "/^$1=/!d; s///; s/'/'\\\\''/g; s/.*/export $1='&'/p" | tr '\001' '\n'
}

quoted() { # quoted TEXT: as one word for a shell
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# --- Outside ---------------------------------------------------------------------------------------------------------

outside() {
    container='' watcher=''
    # Other programs of the node are started now: nothing of the job shall change what they do.
    unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT ENV BASH_ENV
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin
    user=$(id -u) home=$(cd "${HOME:-/}" 2>/dev/null && pwd -P) PWD=$(pwd -P)
    IFS=$NEWLINE && set -f # from here on a path is a word although there are blanks in it, and no pattern
    [ -n "$apptainer" ] && [ -n "$image" ] || refuse "no Apptainer or no container image is named. Say 'apptainer' and 'image' in the" \
        "settings, or --apptainer and --image."
    [ "$#" -gt 0 ] || refuse "no pilot is named: say a command to run. --help tells more."
    payload_image=${payload_image:-$image}
    look_at_node
    log "user '$(id -un)' on $NODE, $(uname -sr), in '$PWD'"
    log "Apptainer '$apptainer', container image '$image', bound: $(echo "${binds:-nothing}" | tr '\n' ' ')"
    trap 'hand_on TERM' TERM INT QUIT # the last two are without effect on what a shell starts in the background
    trap 'hand_on HUP' HUP && trap 'hand_on USR1' USR1 && trap 'hand_on USR2' USR2 && trap 'hand_on XCPU' XCPU
    prepare
    start "$@" &
    container=$!
    watch &
    watcher=$!
    await
    tell "$code"
}

prepare() {
    scratch=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/$PROGRAM.XXXXXX") && scratch=$(cd "$scratch" && pwd -P) ||
        refuse "no folder can be made in '${TMPDIR:-/tmp}'. Let TMPDIR name one with room for the pilot's /tmp."
    trap clean EXIT
    case $scratch in *\"* | *"$NEWLINE"*) refuse "'$scratch' has a quotation mark or a line end in it. Let TMPDIR name another." ;; esac
    former=$(umask) && umask 077
    mkdir "$scratch/credentials" "$scratch/inside" "$scratch/work" "$scratch/empty" || no_room
    cat -- "$0" >"$scratch/inside/wrapper" || refuse "'$0' cannot be read, so it cannot start itself inside; or '$scratch' is full."
    find_credentials
    { write_settings >"$scratch/inside/settings" && write_environment >"$scratch/inside/environment"; } || no_room
    umask "$former"
}

no_room() {
    refuse "nothing can be written into '$scratch'. Let TMPDIR name a folder with room for the pilot's /tmp."
}

clean() { # a pilot may leave folders in its home and /tmp that it has closed for itself
    rm -rf "$scratch" 2>/dev/null || { chmod -R u+rwX "$scratch" && rm -rf "$scratch"; }
}

start() { # start COMMAND...: becomes Apptainer, with the options before the command
    set -- "$image" /bin/sh "$INSIDE/wrapper" --inside "$@"
    for bound in $binds; do set -- --bind "$bound" "$@"; done
    # Payloads in SIF files need it inside, and --contain leaves it out.
    [ ! -w /dev/fuse ] || set -- --bind /dev/fuse "$@"
    set -- --mount "type=bind,\"source=$PWD\",destination=$WORK" "$@"
    set -- --mount "type=bind,\"source=$scratch/inside\",destination=$INSIDE" "$@"
    set -- --mount "type=bind,\"source=$scratch/credentials\",destination=$CREDENTIALS,ro" "$@"
    # Where TMPDIR is the job's own folder, as HTCondor has it: nobody reaches the copies by way of /srv.
    case $scratch in
    "$PWD"/*) set -- --mount "type=bind,\"source=$scratch/empty\",\"destination=$WORK${scratch#"$PWD"}\",ro" "$@" ;;
    esac
    IFS=' '
    # shellcheck disable=SC2086 # these are several options
    set -- --nocolor exec --userns $APART --workdir "$scratch/work" --pwd "$WORK" "$@"
    # What was opened by whoever started this is not the pilot's; Apptainer would hand it in.
    exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
    [ -z "${BASH_VERSION-}" ] || close_the_rest
    # Apptainer's own words go into a file, and the pilot's complaints by the third way to where they belong.
    exec env -i PATH="$PATH" HOME="$home" LC_ALL=C APPTAINER_CONFIGDIR="$scratch/settings" "$apptainer" "$@" \
        </dev/null 3>&2 2>"$scratch/words"
}

close_the_rest() { # which dash cannot: it takes '10<' for a command
    set +f
    # By one of them bash reads this program, and it has read all that it still needs.
    for open in /proc/self/fd/[1-9][0-9]*; do
        [ "${open##*/}" = '[1-9][0-9]*' ] || eval "exec ${open##*/}<&-" # so it is where there is none
    done
}

hand_on() { # hand_on SIGNAL: Apptainer hands it to the pilot
    heard=$1
    [ -n "${container:=$!}" ] || exit 143 # there is none yet
    log "signal $1 is handed to the pilot"
    kill -s "$1" "$container" 2>/dev/null
}

await() { # sets 'code'. A signal ends a 'wait' early; the next one has the code, or 127 if nothing is left to wait for
    code=127 last_heard=
    while
        heard=
        wait "$container"
        now=$?
        [ "$now" = 127 ] || code=$now
        [ -n "$heard" ]
    do last_heard=$heard; done
}

watch() { # renews credentials; and ends the pilot if this program was killed in a way that it could not hear
    trap '' TERM HUP INT QUIT USR1 USR2 XCPU # a batch system may send them to all processes of the job
    trap - EXIT
    exec </dev/null >/dev/null 2>&1 && umask 077
    while alive; do
        renew
        sleep "$EVERY"
    done
    below=$(cat "/proc/$container/task/$container/children")
    kill -s TERM "$container"
    for _ in $(seq "$PATIENCE"); do
        kill -s 0 "$container" || break
        sleep 1
    done
    IFS=' '
    # shellcheck disable=SC2086 # the first process of the container, with which all others in it end
    kill -s KILL $below "$container"
    clean
}

alive() { # whether this program runs; one that was killed stays in the list of processes until somebody asks for its code
    read -r stat <"/proc/$$/stat" || return 1
    case $stat in *') Z '* | *') X '*) return 1 ;; esac
}

tell() { # tell CODE: how it ended, and why if the pilot was not started
    trap '' TERM INT QUIT HUP USR1 USR2 XCPU
    IFS=' '
    # shellcheck disable=SC2046 # its 'sleep', which it would leave behind
    kill -s KILL "$watcher" $(cat "/proc/$watcher/task/$watcher/children" 2>/dev/null) 2>/dev/null
    wait "$watcher" 2>/dev/null
    last_words "$(cat "$scratch/words")"
    if [ -e "$scratch/inside/pilot" ]; then
        [ -z "$last" ] || log "Apptainer has said: $last"
        log "the pilot ended with exit code $1"
        exit "$1"
    fi
    [ -z "$last_heard" ] || refuse "signal $last_heard came before the pilot was started."
    if [ -e "$scratch/inside/inside" ]; then
        [ "$1" != "$NOT_STARTED" ] || exit "$1" # it has said inside what is wrong
        refuse "the container ended with exit code $1 before the pilot was started."
    fi
    refuse "no container starts from '$image' on $NODE: $(because)"
}

# --- Inside ----------------------------------------------------------------------------------------------------------

inside() { # inside COMMAND...
    # The third way out leads to where this program's own complaints go.
    if (: >&3) 2>/dev/null; then exec 2>&3 3>&-; fi
    [ -e "$INSIDE/wrapper" ] || refuse "--inside is for $PROGRAM itself."
    : >"$INSIDE/inside"
    # shellcheck source=/dev/null # 'write_settings' has written it
    . "$INSIDE/settings"
    # By these Apptainer would bind for a payload whatever was bound for the pilot, the credentials and the work folder too.
    unset APPTAINER_BIND SINGULARITY_BIND
    IFS=$NEWLINE
    for_payloads=
    for bound in $binds; do
        bound=${bound#*:}
        bound=${bound%%:*}
        [ "$bound" = /cvmfs ] || # pilots bind it themselves
            for_payloads=${for_payloads:+$for_payloads,}$bound:$bound
    done
    [ -z "$for_payloads" ] || export APPTAINER_BINDPATH="$for_payloads" SINGULARITY_BINDPATH="$for_payloads"
    unset IFS
    [ "$payload_image" = none ] || try_payload
    command -v "$1" >/dev/null || refuse "there is no command '$1' for the pilot in this container, nor in its work folder $WORK."
    log "inside, the pilot starts: $1"
    : >"$INSIDE/pilot"
    set -- "$INSIDE/environment" "$@"
    # The last that is read: its names may be those of this program.
    # shellcheck source=/dev/null # 'write_environment' has written it
    . "$1"
    rm -f "$1"
    shift && exec "$@"
}

try_payload() { # one container as a payload's would be
    [ -x "$apptainer" ] || refuse "in the pilot's container there is no '$apptainer', so no container could start for a payload. Add the" \
        "folder that it lies in to 'bind', such as 'bind = /cvmfs'; or say 'payload-image = none' if the pilot starts no containers."
    [ -e "$payload_image" ] || refuse "in the pilot's container there is no '$payload_image' to try one for a payload from. Add the" \
        "folder that it lies in to 'bind', or name another 'payload-image'."
    bound=/cvmfs
    [ -d "$bound" ] || bound=/tmp
    set -- "$apptainer" --nocolor exec --contain --ipc --pid --cleanenv --bind "$bound" "$payload_image" true
    said=$(timeout -k 10 "$TRIAL" "$@" 2>&1) && return
    [ "$?" != 124 ] || said="it took longer than $TRIAL seconds."
    last_words "$said"
    refuse "in the pilot's container no container starts from '$payload_image': $(because)"
}

# --- Why it cannot ---------------------------------------------------------------------------------------------------

because() { # one sentence with the cause and what to change, from 'last_words'; else the last of what Apptainer has said
    case $errors in
    *'maximum number of user namespaces'*)
        echo "the limit of user namespaces is reached. A pilot with a container needs at least two: raise user.max_user_namespaces on the" \
            "node with sysctl, to 15000 say; 0 means that they are off." ;;
    *'user namespace'* | *setgroups*)
        if [ "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)" = 1 ]; then
            echo "AppArmor denies user namespaces to programs that no profile names. Load a profile for this Apptainer on the node, or set" \
                "kernel.apparmor_restrict_unprivileged_userns to 0 there. ($last)"
        else
            echo "user namespaces are denied. On the node set kernel.unprivileged_userns_clone to 1 if it has that setting; in a container" \
                "of Docker, Podman or Kubernetes it is the seccomp profile, which has to be 'unconfined'. ($last)"
        fi ;;
    *proc*'not permitted'*)
        echo "/proc cannot be mounted for --pid, since part of it is covered here. Where a batch system or Kubernetes has made a container" \
            "around this one, let that have an unmasked /proc: 'systempaths=unconfined', or 'procMount: Unmasked'. ($last)" ;;
    *starter-suid* | *setuid* | *nosuid*)
        echo "this Apptainer is a setuid installation, and setuid gives nothing in a container. Take one without. ($last)" ;;
    *'session dir'*) echo "it does not find its own files: '$apptainer' has to lie inside where it lies outside. ($last)" ;;
    *[!e]fuse*) # and not 'refused'
       
        echo "FUSE is not there, which SIF files and older kernels need. Let '/dev/fuse' be on the node and writable for all, or take an" \
            "unpacked image. ($last)" ;;
    *"doesn't exist in container"* | *'stat /bin/sh: no such file'*)
        echo "it does not look like an unpacked image: something is missing that every system has. ($last)" ;;
    *) echo "${last:-Apptainer ended without a word.}" ;;
    esac
}

last_words() { # last_words TEXT: sets 'errors', and 'last' of them; with nothing but the shell
    last='' errors=
    while IFS= read -r line; do
        case $line in
        '' | INFO* | WARNING*) ;;
        *) last=$line errors=$errors$line$NEWLINE ;;
        esac
    done <<END
$1
END
}

if [ "${1-}" = --inside ]; then
    shift
    inside "$@"
fi
[ ! -e "$INSIDE/wrapper" ] || refuse "this is inside the container of another $PROGRAM already. Start the pilot itself."
apptainer='' image='' payload_image='' binds='' passed=''
if [ "${1-}" = --settings ]; then
    [ "$#" -ge 2 ] || refuse "--settings wants a file."
    read_settings "$2"
    shift 2
elif [ -e "/etc/$PROGRAM.conf" ]; then
    read_settings "/etc/$PROGRAM.conf"
else
    binds=/cvmfs
fi
while [ "$#" -gt 0 ]; do
    case $1 in
    --help) usage && exit ;;
    --) shift && break ;;
    --apptainer | --image | --payload-image | --bind | --pass)
        [ "$#" -ge 2 ] || refuse "$1 wants a value."
        take "${1#--}" "$2"
        shift 2 ;;
    -*) refuse "there is no option '$1'. --help tells which there are." ;;
    *) break ;;
    esac
done
outside "$@"
