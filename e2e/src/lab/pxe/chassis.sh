#!/bin/bash
# What ipmi_sim asks when somebody reads or changes the machine, which is a QEMU in the network namespace of a process.
# Arguments: directory, process, then `get power|boot…` or `set power|reset|shutdown|boot|identify VALUE…`.
dir=$1 network=$2 what=$3
shift 3
echo "$what $*" >>"$dir/calls"
is_on() {
  [ -s "$dir/qemu.pid" ] && pid=$(cat "$dir/qemu.pid") && [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status"
}
start() {
  is_on && return
  # A boot device that was set is for one start.
  case $(cat "$dir/boot") in pxe) order=n ;; *) order=c ;; esac
  echo default >"$dir/boot"
  nsenter --target "$network" --net -- qemu-system-x86_64 -accel tcg,tb-size=64 -m 256 -smp 1 -display none -monitor none \
    -serial "file:$dir/console" -no-reboot -boot "$order" -netdev tap,id=n0,ifname=tap0,script=no,downscript=no \
    -device virtio-net-pci,netdev=n0,mac=52:54:00:88:00:01 -pidfile "$dir/qemu.pid" -daemonize >"$dir/qemu.log" 2>&1 </dev/null
}
stop() {
  is_on && kill -9 "$(cat "$dir/qemu.pid")"
  rm -f "$dir/qemu.pid"
}
case $what in
get)
  for name; do
    case $name in
    power) is_on && echo power:1 || echo power:0 ;;
    boot) echo "boot:$(cat "$dir/boot")" ;;
    *) exit 1 ;;
    esac
  done
  ;;
set)
  case $1 in
  power) [ "$2" = 1 ] && start || stop ;;
  shutdown) stop ;;
  reset) stop; start ;;
  boot) echo "$2" >"$dir/boot" ;;
  identify) ;;
  *) exit 1 ;;
  esac
  ;;
esac
exit 0
