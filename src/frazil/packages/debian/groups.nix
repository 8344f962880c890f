# Debian splits these programs over several packages that only work in one prefix. `claims` is a regular expression on
# package names; a package that is claimed is never a store object of its own.
{
  glibc = {
    seeds = [ "libc6" ];
    claims = "libc6|libgcc-s1";
  };
  perl = {
    seeds = [ "perl" ];
    claims = "perl|perl-base|perl-modules-5[.][0-9]+|libperl5[.][0-9]+(t64)?";
  };
  python3 = {
    seeds = [ "python3" ];
    claims = "python3|python3-minimal|python3[.][0-9]+|python3[.][0-9]+-minimal|libpython3-stdlib|libpython3[.][0-9]+-(minimal|stdlib)";
  };
  gcc = {
    seeds = [
      "gcc"
      "g++"
    ];
    claims = "(gcc|g[+][+]|cpp)(-[0-9]+)?(-(x86-64|aarch64)-linux-gnu)?|lib(gcc|stdc[+][+])-[0-9]+-dev|libc6-dev|libc-dev-bin|linux-libc-dev|libcrypt-dev|rpcsvc-proto";
  };
  binutils = {
    seeds = [ "binutils" ];
    claims = "binutils|binutils-common|binutils-(x86-64|aarch64)-linux-gnu";
  };
  go = {
    seeds = [ "golang-go" ];
    claims = "golang-go|golang-src|golang-[0-9.]+-(go|src)";
  };
  nodejs = {
    seeds = [ "nodejs" ];
    claims = "nodejs|libnode[0-9]+|node-.*|libjs-.*";
  };
  cmake = {
    seeds = [ "cmake" ];
    claims = "cmake|cmake-data";
  };
  vim = {
    seeds = [ "vim" ];
    claims = "vim|vim-common|vim-runtime";
  };
  git = {
    seeds = [ "git" ];
    claims = "git|git-man|liberror-perl";
  };
}
