# Has Slurm start a node on each host, and ends what it has started when standard input closes. $1 is the folder of the file
# to join with, $2 the program; inside an allocation $3 and $4 say how much of it is used: hosts, and the tasks of each. What
# follows are options of sbatch, or, there, of srun. What it says: `job NUMBER`, or `step`; `over` when that has ended, and what
# it has printed is in the folder's file `out` then.
folder=$1 program=$2 nodes=$3 tasks=$4
shift 4

# On a host: as many engines as tasks would run there, of `16(x4)` or `3,2`.
cat >"$folder/node" <<'END'
at=0
for part in $(echo "$2" | tr ',' ' '); do
    slots=${part%%(*} times=1
    case $part in *x*) times=${part##*x} times=${times%)} ;; esac
    at=$((at + times))
    [ "${SLURM_NODEID:-0}" -lt "$at" ] && break
done
exec "$1" node --join "${0%/*}/join" --slots "$slots"
END

# Of a job: one task per host, which has all that the job has there. (Processors per task would be those that the first host
# has, on all of them.)
cat >"$folder/job" <<'END'
#!/bin/sh
folder=$1 program=$2 tasks=${3:-$SLURM_TASKS_PER_NODE} nodes=${4:-$SLURM_JOB_NUM_NODES}
shift 2
[ $# -gt 0 ] && shift 2
unset SLURM_TRES_PER_TASK SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_TASKS_PER_NODE SLURM_CPUS_PER_TASK
exec srun "$@" --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpu-bind=none \
    --overlap --kill-on-bad-exit=0 --input=none sh "$folder/node" "$program" "$tasks"
END

if [ -n "$SLURM_JOB_ID" ]; then
    (sh "$folder/job" "$folder" "$program" "$tasks" "$nodes" "$@" >"$folder/out" 2>&1; echo over) &
    echo step
    cat >/dev/null
    pkill -TERM -P $! srun 2>/dev/null || kill $! 2>/dev/null
    wait
else
    job=$(sbatch --parsable --job-name=regatta --output="$folder/out" "$@" "$folder/job" "$folder" "$program") || { rm -rf "$folder"; exit 1; }
    echo "job ${job%%;*}"
    cat >/dev/null
    scancel "${job%%;*}"
fi
rm -rf "$folder"
