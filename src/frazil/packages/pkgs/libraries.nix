# Libraries to compile against: run-time and development packages of Debian in one prefix.
lib:
let
  l = lib.licenses;
  p = names: description: license: { inherit names description license; };
in
{
  zlib = p [ "zlib1g" "zlib1g-dev" ] "Lossless data-compression library" l.zlib;
  openssl = p [ "libssl3t64" "libssl-dev" "openssl" "openssl-provider-legacy" ] "Cryptographic library that implements the SSL and TLS protocols" l.asl20;
  sqlite = p [ "libsqlite3-0" "libsqlite3-dev" "sqlite3" ] "Self-contained, serverless, zero-configuration, transactional SQL database engine" l.publicDomain;
  ncurses = p [ "libtinfo6" "libncurses6" "libncursesw6" "libncurses-dev" "ncurses-bin" "ncurses-base" ] "Free software emulation of curses in SVR4 and more" l.mit;
  readline = p [ "libreadline8t64" "libreadline-dev" "readline-common" ] "Library for interactive line editing" l.gpl3Plus;
  libffi = p [ "libffi8" "libffi-dev" ] "Foreign function call interface library" l.mit;
  expat = p [ "libexpat1" "libexpat1-dev" ] "Stream-oriented XML parser library" l.mit;
  libxml2 = p [ "libxml2" "libxml2-dev" "libxml2-utils" ] "XML parsing library for C" l.mit;
  gmp = p [ "libgmp10" "libgmpxx4ldbl" "libgmp-dev" ] "GNU multiple precision arithmetic library" l.lgpl3Plus;
  pcre2 = p [ "libpcre2-8-0" "libpcre2-16-0" "libpcre2-32-0" "libpcre2-posix3" "libpcre2-dev" ] "Perl Compatible Regular Expressions" l.bsd3;
  libyaml = p [ "libyaml-0-2" "libyaml-dev" ] "YAML 1.1 parser and emitter written in C" l.mit;
  libuv = p [ "libuv1t64" "libuv1-dev" ] "Multi-platform support library with a focus on asynchronous I/O" l.mit;
  libevent = p [ "libevent-2.1-7t64" "libevent-core-2.1-7t64" "libevent-extra-2.1-7t64" "libevent-openssl-2.1-7t64" "libevent-pthreads-2.1-7t64" "libevent-dev" ] "Event notification library" l.bsd3;
}
