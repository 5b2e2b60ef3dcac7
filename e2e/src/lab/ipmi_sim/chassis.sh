#!/bin/sh
# What ipmi_sim asks when somebody reads or changes the machine: it keeps the machine in files.
# Arguments: directory, then `get power|boot…` or `set power|reset|shutdown|boot|identify VALUE…`.
dir=$1 what=$2
shift 2
echo "$what $*" >>"$dir/calls"
[ ! -e "$dir/broken" ] || exit 1
case $what in
get)
  for name; do
    case $name in
    power) echo "power:$(cat "$dir/power")" ;;
    boot) echo "boot:$(cat "$dir/boot")" ;;
    *) exit 1 ;;
    esac
  done
  ;;
set)
  case $1 in
  power) echo "$2" >"$dir/power" ;;
  shutdown) echo 0 >"$dir/power" ;;
  boot) echo "$2" >"$dir/boot" ;;
  reset | identify) ;;
  *) exit 1 ;;
  esac
  ;;
esac
