# One file out of many certificates, in the order of their names.
export PATH=$coreutils/bin LC_ALL=C
mkdir -p "$out/etc/ssl/certs"
for certificate in "$certificates"/share/ca-certificates/mozilla/*.crt; do
  cat "$certificate"
  echo
done >"$out/etc/ssl/certs/ca-bundle.crt"
ln -s ca-bundle.crt "$out/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$out/nix-support"
printf 'export SSL_CERT_FILE="${SSL_CERT_FILE:-%s}"\nexport NIX_SSL_CERT_FILE="${NIX_SSL_CERT_FILE:-%s}"\n' \
  "$out/etc/ssl/certs/ca-bundle.crt" "$out/etc/ssl/certs/ca-bundle.crt" >"$out/nix-support/setup-hook"
