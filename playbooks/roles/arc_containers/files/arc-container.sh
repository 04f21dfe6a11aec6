#!/bin/sh
# Runs the command of a grid job in a container: arc-container IMAGE NAMES COMMAND...
# NAMES are the variables that it gets, with commas between them. The runtime environment SITE/CONTAINER puts this before the
# job's own command; the job's errors are what its owner gets back, so they name the image.

# By names that no job has: its variables are this shell's too.
arc_container_image=$1 arc_container_names=$2
shift 2

complain() { # SENTENCE CODE
    echo "arc-container: the container image '$arc_container_image' $1 (job ${GRID_GLOBAL_JOBID:-none}, node $(hostname))" >&2
    exit "$2"
}

case $arc_container_image in
*://*) ;; # Apptainer gets it from elsewhere
*)
    [ -e "$arc_container_image" ] || complain "cannot be found or reached." 66
    [ -r "$arc_container_image" ] || complain "cannot be read by $(id --user --name)." 66
    [ ! -d "$arc_container_image" ] || [ -x "$arc_container_image" ] || complain "cannot be entered by $(id --user --name)." 66
    ;;
esac
command -v apptainer >/dev/null || complain "cannot be run: this node has no Apptainer." 69

# By these names Apptainer hands variables in though it is told to hand in none.
IFS=,
for arc_container_name in $arc_container_names; do
    if eval "[ -n \"\${$arc_container_name+set}\" ]"; then
        eval "export \"APPTAINERENV_$arc_container_name=\$$arc_container_name\""
    fi
done
unset IFS

apptainer exec --cleanenv --home "$PWD" --pwd "$PWD" "$arc_container_image" "$@"
code=$?
[ "$code" -ne 255 ] || complain "could not be run, as the lines above say; or the job's command itself ended with 255." 255
exit "$code"
