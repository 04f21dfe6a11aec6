# Jobs as an ordinary user submits them. Output files lie where the job ran, so another job reads them there.

field() { # JOB KEY: a word that Slurm tells of a job
    scontrol --oneliner show job "$1" | grep -oE " $2=[^ ]*" | head -n 1 | cut -d= -f2-
}

ended() { # JOB: waits until it has ended, its Epilog too; 'sbatch --wait' would sleep for half a minute between its looks
    tries=0
    until [ $((tries += 1)) -gt 160 ]; do
        case $(field "$1" JobState) in PENDING | CONFIGURING | RUNNING | COMPLETING) sleep 0.5 ;; *) return 0 ;; esac
    done
    return 1
}

job() { # WORDS OF SBATCH, the script on stdin: what Slurm tells of the job, then what it wrote
    id=$(sbatch --parsable --time=5 --output="$HOME/lading-%j.out" "$@") || return
    ended "$id"
    echo "job $id $(field "$id" JobState) $(field "$id" Reason) $(field "$id" BatchHost)"
    srun --quiet --time=2 --mem=32 --nodelist="$(field "$id" BatchHost)" sh -c \
        "cat '$HOME/lading-$id.out'; rm '$HOME/lading-$id.out'"
}

settled() { # waits until no job of this account is left, not even its Epilog, which goes on when srun has ended
    tries=0
    until [ -z "$(squeue --noheader --user="$(id -un)")" ] || [ $((tries += 1)) -gt 60 ]; do sleep 0.5; done
}

node() { # NAME: its state, and the reason that Slurm keeps of it
    scontrol --oneliner show node "$1" | grep -oE ' (State=[^ ]*|Reason=.*)'
}
