# First process of a Docker host of the lab: it makes the host's own view of the file system and then only keeps the
# host's namespaces open and reaps what its daemons leave. Arguments: name, directory, size of the disk (or nothing),
# root file system of another Debian (or nothing).
name=$1 dir=$2 disk=$3 root=$4
set -e
hostname "$name"
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
mkdir -p "$dir/data" "$dir/etc-docker" /etc/docker
if [ -n "$disk" ]; then mount -t tmpfs -o "size=$disk" disk "$dir/data"; fi
if [ -n "$root" ]; then
  # Written to in a layer of this host's own. It is a mount point, without which the engine cannot pivot into it.
  mkdir -p "$dir.layer" "$dir.work" "$dir.root"
  mount -t overlay -o "lowerdir=$root,upperdir=$dir.layer,workdir=$dir.work" root "$dir.root"
  root=$dir.root
  mkdir -p "$root$dir" "$root/etc/docker"
  mount --rbind "$dir" "$root$dir"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
fi
mount --bind "$dir/etc-docker" "$root/etc/docker"
mount -t tmpfs run "$root/run"
mkdir -p "$root/run/sshd"
touch "$dir/made"
while :; do sleep 86400 & wait $!; done
