#!/bin/sh
# The web service: tells the store of the visit and shows how many there were.
# Not wget's own -T: with it the static busybox of Debian 12 crashes.
if visits=$(timeout 2 wget -q -O - --post-data '' "$STORE"); then
    printf 'Content-Type: text/plain\r\n\r\n%s This is visit %s.\n' "$GREETING" "$visits"
else
    printf 'Status: 502 Bad Gateway\r\nContent-Type: text/plain\r\n\r\nThe store does not answer.\n'
fi
