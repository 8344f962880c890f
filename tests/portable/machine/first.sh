# The first file system: busybox, the modules that the root needs (with those that they need), and the first program.
version=$(basename kernel/usr/lib/modules/*)
depmod -b kernel "$version"
mkdir -p first/{bin,modules,dev,proc,sys,new,lower,upper}
cp root/usr/bin/busybox first/bin/busybox
ln -s busybox first/bin/sh
modules=kernel/usr/lib/modules/$version
for name in virtio_pci virtio_mmio virtio_blk virtio_net squashfs overlay loop; do
  file=$(find "$modules" -name "$name.ko*" -printf '%P')
  # What is not there is built in.
  if [ -n "$file" ]; then
    grep "^$file:" "$modules/modules.dep" | tr -d : | tr ' ' '\n' | tac
  fi
done | awk '!seen[$0]++' | while read -r file; do
  base=$(basename "$file" .xz)
  case $file in
    *.xz) xz -dc "$modules/$file" ;;
    *) cat "$modules/$file" ;;
  esac >"first/modules/$base"
  echo "$base" >>first/modules/order
done
cp $firstProgram first/init
chmod +x first/init
