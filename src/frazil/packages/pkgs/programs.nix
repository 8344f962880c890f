# Programs that are one Debian package (or group) each: nixpkgs' name, then Debian's, and what `meta` says.
lib:
let
  l = lib.licenses;
  p = debian: description: license: { inherit debian description license; };
  main = mainProgram: attrs: attrs // { inherit mainProgram; };
  named = pname: attrs: attrs // { inherit pname; };
in
{
  bash = p "bash" "GNU Bourne-Again Shell" l.gpl3Plus;
  coreutils = main "coreutils" (p "coreutils" "GNU Core Utilities" l.gpl3Plus);
  findutils = main "find" (p "findutils" "GNU Find Utilities" l.gpl3Plus);
  diffutils = main "diff" (p "diffutils" "Commands for showing the differences between files" l.gpl3Plus);
  gnused = named "gnused" (main "sed" (p "sed" "GNU sed, a batch stream editor" l.gpl3Plus));
  gnugrep = named "gnugrep" (main "grep" (p "grep" "GNU implementation of the Unix grep command" l.gpl3Plus));
  gawk = p "gawk" "GNU implementation of the Awk programming language" l.gpl3Plus;
  gnutar = named "gnutar" (main "tar" (p "tar" "GNU implementation of the tar archiver" l.gpl3Plus));
  gzip = p "gzip" "GNU zip compression program" l.gpl3Plus;
  bzip2 = p "bzip2" "High-quality data compression program" l.bsdOriginal;
  xz = named "xz" (main "xz" (p "xz-utils" "General-purpose data compression software" l.bsd0));
  zstd = p "zstd" "Zstandard real-time compression algorithm" l.bsd3;
  patch = named "patch" (p "patch" "GNU Patch, a program to apply differences to files" l.gpl3Plus);
  gnumake = named "gnumake" (main "make" (p "make" "Tool to control the generation of non-source files from sources" l.gpl3Plus));
  hello = p "hello" "Program that produces a familiar, friendly greeting" l.gpl3Plus;
  cowsay = p "cowsay" "Program which generates ASCII pictures of a cow with a message" l.gpl3Plus;
  curl = p "curl" "Command line tool for transferring files with URL syntax" l.curl;
  wget = p "wget" "Tool for retrieving files using HTTP, HTTPS, and FTP" l.gpl3Plus;
  jq = p "jq" "Lightweight and flexible command-line JSON processor" l.mit;
  tree = p "tree" "Command to produce a depth indented directory listing" l.gpl2Plus;
  vim = p "vim" "Most popular clone of the VI editor" l.vim;
  git = p "git" "Distributed version control system" l.gpl2Only;
  hugo = p "hugo" "Fast and modern static website engine" l.asl20;
  which = named "which" (p "gnu-which" "Shows the full path of (shell) commands" l.gpl3Plus);
  less = p "less" "More advanced file pager than 'more'" l.gpl3Plus;
  file = p "file" "Program that shows the type of files" l.bsd2;
  nginx = p "nginx" "Reverse proxy and lightweight webserver" l.bsd2;
  rsync = p "rsync" "Fast incremental file transfer utility" l.gpl3Plus;
  ripgrep = main "rg" (p "ripgrep" "Utility that combines the usability of The Silver Searcher with the raw speed of grep" l.mit);
  fd = named "fd" (p "fd-find" "Simple, fast and user-friendly alternative to find" l.mit);
  fzf = p "fzf" "Command-line fuzzy finder" l.mit;
  htop = p "htop" "Interactive process viewer" l.gpl2Only;
  tmux = p "tmux" "Terminal multiplexer" l.bsd3;
  nano = p "nano" "Small, user-friendly console text editor" l.gpl3Plus;
  unzip = p "unzip" "Extraction utility for archives compressed in .zip format" l.free;
  zip = p "zip" "Compressor/archiver for creating and modifying zipfiles" l.free;
  bc = p "bc" "GNU software calculator" l.gpl3Plus;
  m4 = named "gnum4" (main "m4" (p "m4" "GNU M4, a macro processor" l.gpl3Plus));
  bison = p "bison" "Yacc-compatible parser generator" l.gpl3Plus;
  flex = p "flex" "Fast lexical analyser generator" l.bsd2;
  ninja = named "ninja" (p "ninja-build" "Small build system with a focus on speed" l.asl20);
  cmake = p "cmake" "Cross-platform, open-source build system generator" l.bsd3;
  patchelf = p "patchelf" "Small utility to modify the dynamic linker and RPATH of ELF executables" l.gpl3Plus;
  procps = main "ps" (p "procps" "Utilities that give information about processes using the /proc filesystem" l.gpl2Plus);
  util-linux = named "util-linux" (p "util-linux" "Set of system utilities for Linux" l.gpl2Plus);
  shellcheck = p "shellcheck" "Shell script analysis tool" l.gpl3Plus;
  strace = p "strace" "System call tracer for Linux" l.lgpl21Plus;
  socat = p "socat" "Utility for bidirectional data transfer between two independent data channels" l.gpl2Only;
  openssh = main "ssh" (named "openssh" (p "openssh-client" "Implementation of the SSH protocol" l.bsd2));
  direnv = p "direnv" "Shell extension that manages your environment" l.mit;
  entr = p "entr" "Run arbitrary commands when files change" l.isc;
  pv = p "pv" "Tool for monitoring the progress of data through a pipeline" l.gpl3Plus;
  lua5_4 = named "lua" (main "lua" (p "lua5.4" "Powerful, fast, lightweight, embeddable scripting language" l.mit));
  iproute2 = main "ip" (p "iproute2" "Collection of utilities for controlling TCP/IP networking" l.gpl2Only);
  time = p "time" "Tool that runs programs and summarizes the system resources they use" l.gpl3Plus;
  tzdata = p "tzdata" "Database of current and historical time zones" l.publicDomain;
  dash = p "dash" "POSIX-compliant implementation of /bin/sh that aims to be as small as possible" l.bsd3;
}
