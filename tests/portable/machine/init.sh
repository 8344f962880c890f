#!/bin/sh
# The first program of the test machine: modules, network, a root that is written in memory, then systemd.
/bin/busybox --install -s /bin
echo "machine: first program"
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod /modules/$module || echo "no module $module"; done </modules/order

ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2

while [ ! -b /dev/vda ]; do sleep 0.1; done
mount -t squashfs -o ro /dev/vda /lower
mount -t tmpfs -o mode=755 tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new

# Who may enter, as the command line of the kernel says.
mkdir -p -m 700 /new/root/.ssh
sed -n 's/.*machine\.key=\([^ ]*\).*/ssh-ed25519 \1/p' /proc/cmdline >/new/root/.ssh/authorized_keys
mount -t tmpfs -o mode=755 tmpfs /new/run
mkdir -p /new/run/sshd
mount --move /dev /new/dev
mount --move /sys /new/sys
mount --move /proc /new/proc
exec switch_root /new /usr/lib/systemd/systemd
