# Makes DIR/initrd.gz: busybox, the modules that a virtual network card needs, and an init that reports by HTTP.
# Arguments: directory with `unpacked`, version of the kernel, modules.
dir=$1 version=$2
shift 2
root=$dir/root
mkdir -p "$root"/{bin,proc,sys,dev,modules}
cp "$(command -v busybox)" "$root/bin/"
for name in sh mount ip ifconfig udhcpc wget cat sleep insmod cut sed; do ln -s busybox "$root/bin/$name"; done
depmod -b "$dir/unpacked" "$version"
for module; do modprobe -d "$dir/unpacked" -S "$version" --show-depends "$module" 2>/dev/null || true; done |
  awk '/^insmod/ && !seen[$2]++ {print $2}' | while read -r file; do
  cp "$file" "$root/modules/"
  basename "$file" >>"$root/modules/order"
done
cat >"$root/lease" <<'END'
#!/bin/sh
[ "$1" = bound ] && ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
END
cat >"$root/init" <<'END'
#!/bin/sh
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
for module in $(cat /modules/order); do insmod "/modules/$module"; done
until [ -d /sys/class/net/eth0 ]; do sleep 0.2; done
ip link set lo up; ip link set eth0 up
udhcpc -i eth0 -q -s /lease
mac=$(cat /sys/class/net/eth0/address)
url=$(sed 's/.*report=\([^ ]*\).*/\1/' /proc/cmdline)
wget -q -O- "$url?mac=$mac&up=$(cut -d' ' -f1 /proc/uptime)"
echo "reported as $mac"
while :; do sleep 60; done
END
chmod +x "$root/init" "$root/lease"
(cd "$root"; find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$dir/initrd.gz")
rm -rf "$root"
