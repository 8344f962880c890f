# The root file system: what maintainer scripts would have written, and few units.
rm -rf root/usr/share/{doc,man,locale,bash-completion,zsh,lintian,bug,perl5} root/usr/lib/modules
rm -rf root/usr/lib/systemd/{system-generators,boot,catalog} root/usr/lib/udev
mkdir -p root/{dev,proc,sys,run,tmp,root,boot,mnt} root/var/{tmp,log,lib,cache} root/etc/{ssh,systemd/system}

cat >root/etc/passwd <<'END'
root:x:0:0:root:/root:/bin/bash
messagebus:x:100:100::/nonexistent:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
END
cat >root/etc/group <<'END'
root:x:0:
adm:x:4:
tty:x:5:
messagebus:x:100:
systemd-journal:x:102:
nogroup:x:65534:
END
echo 'root:*:1::::::' >root/etc/shadow
echo 'passwd: files systemd' >root/etc/nsswitch.conf
echo machine >root/etc/hostname
echo 5e9a1c0de00000000000000000000001 >root/etc/machine-id
echo '127.0.0.1 localhost machine' >root/etc/hosts
touch root/etc/resolv.conf root/etc/fstab root/etc/.updated root/var/.updated

cat >root/etc/ssh/sshd_config <<'END'
HostKey /run/sshd/host_key
PasswordAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxSessions 100
MaxStartups 100
END

units=root/etc/systemd/system
cat >$units/sshd.service <<'END'
[Unit]
After=dbus.socket
[Service]
ExecStartPre=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /run/sshd/host_key
ExecStart=/usr/sbin/sshd -D -e
KillMode=process
END
cat >$units/machine.target <<'END'
[Unit]
Requires=basic.target dbus.service sshd.service
After=basic.target dbus.service sshd.service
AllowIsolate=yes
END
ln -s machine.target $units/default.target
for unit in dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount kmod-static-nodes.service systemd-binfmt.service systemd-sysusers.service \
  systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service \
  systemd-tmpfiles-clean.timer systemd-random-seed.service systemd-modules-load.service systemd-sysctl.service \
  systemd-update-utmp.service systemd-user-sessions.service systemd-logind.service systemd-pcrphase.service \
  systemd-ask-password-console.path systemd-ask-password-wall.path systemd-firstboot.service ldconfig.service \
  systemd-journal-catalog-update.service systemd-update-done.service systemd-machine-id-commit.service \
  systemd-remount-fs.service proc-sys-fs-binfmt_misc.automount systemd-hibernate-clear.service \
  systemd-journal-flush.service systemd-boot-random-seed.service systemd-pcrmachine.service \
  systemd-tpm2-setup.service systemd-tpm2-setup-early.service getty.target; do
  ln -sf /dev/null $units/$unit
done
