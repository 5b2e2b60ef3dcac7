# Ends everything that a run of the lab has on this machine: processes, firewall rule, bridge, cgroups, files.
# Arguments: slot, directory, bridge. With the word `wait` first it does so when its standard input ends, which is
# when the process that holds the other end of the pipe is gone, however it went.
[ "$1" = wait ] && { shift; cat >/dev/null; }
slot=$1 dir=$2 bridge=$3
# A zombie has no environment, so it does not count as alive. Killing the first process of a host's PID namespace ends the host.
for try in $(seq 200); do
  pids=$(grep -lszx "SLIPWAY_LAB_RUN=$dir" /proc/[0-9]*/environ | cut -d/ -f3)
  [ -z "$pids" ] && break
  kill -9 $pids 2>/dev/null
  sleep 0.02
done
if [ -n "$bridge" ] && ip link show "$bridge" >/dev/null 2>&1; then
  while iptables -w 10 -D FORWARD -i "$bridge" -o "$bridge" -j ACCEPT 2>/dev/null; do :; done
  # The hosts' ends of the cables vanish with their network namespaces, which the kernel removes in its own time.
  for cable in $(ls "/sys/class/net/$bridge/brif" 2>/dev/null); do ip link del "$cable" 2>/dev/null; done
  ip link del "$bridge"
fi
find /sys/fs/cgroup -depth -type d -path "*/slipway-lab-$slot-*" -exec rmdir {} \; 2>/dev/null
rm -rf "$dir"
exit 0
