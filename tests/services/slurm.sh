#!/usr/bin/env bash
# A real Slurm on this machine alone, for the tests: slurm.sh start FOLDER, slurm.sh stop FOLDER.
#
# munge, slurmctld and slurmd of Debian run as root on the loopback address, with keys, configuration and state in
# FOLDER; nothing under /etc is touched. Afterwards `export SLURM_CONF=FOLDER/slurm.conf` lets every command find it.
set -euo pipefail
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export SLURM_CONF="$folder/slurm.conf"

stop() {
  local name
  for name in slurmd slurmctld munged; do
    if [ -s "$folder/$name.pid" ]; then
      kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
      for _ in $(seq 50); do [ -e "$folder/$name.pid" ] && sleep 0.1 || break; done
    fi
  done
}

if [ "$action" = stop ]; then
  stop
  exit
fi

if [ "$(id -u)" != 0 ]; then
  echo 'Slurm starts jobs for others, so it needs root: sudo -E make test-services' >&2
  exit 1
fi
if ! command -v slurmctld slurmd munged >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -yq --no-install-recommends slurmctld slurmd slurm-client munge
fi
stop
host=$(hostname -s)
mkdir -p "$folder/state" "$folder/spool"
head -c 128 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
cat >"$folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=2
MinJobAge=600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=short Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=1
slurmctld
slurmd
for _ in $(seq 100); do
  state=$(sinfo --noheader --format=%T 2>/dev/null || true)
  [ "$state" != idle ] || exit 0
  sleep 0.2
done
echo "Slurm has not come up: the node is '$state'; see $folder/slurmctld.log and slurmd.log" >&2
exit 1
