# Libraries to compile against: run-time and development packages of Debian in one prefix.
lib:
let
  l = lib.licenses;
  p = names: description: license: { inherit names description license; };
  main = mainProgram: attrs: attrs // { inherit mainProgram; };
  # What is needed besides to compile against it, by nixpkgs' names.
  needs = propagates: attrs: attrs // { inherit propagates; };
in
{
  zlib = p [ "zlib1g" "zlib1g-dev" ] "Lossless data-compression library" l.zlib;
  openssl = main "openssl" (p [ "libssl3t64" "libssl-dev" "openssl" "openssl-provider-legacy" ] "Cryptographic library that implements the SSL and TLS protocols" l.asl20);
  sqlite = main "sqlite3" (p [ "libsqlite3-0" "libsqlite3-dev" "sqlite3" ] "Self-contained, serverless, zero-configuration, transactional SQL database engine" l.publicDomain);
  ncurses = p [ "libtinfo6" "libncurses6" "libncursesw6" "libncurses-dev" "ncurses-bin" "ncurses-base" ] "Free software emulation of curses in SVR4 and more" l.mit;
  readline = p [ "libreadline8t64" "libreadline-dev" "readline-common" ] "Library for interactive line editing" l.gpl3Plus;
  libffi = p [ "libffi8" "libffi-dev" ] "Foreign function call interface library" l.mit;
  expat = p [ "libexpat1" "libexpat1-dev" ] "Stream-oriented XML parser library" l.mit;
  libxml2 = p [ "libxml2" "libxml2-dev" "libxml2-utils" ] "XML parsing library for C" l.mit;
  gmp = p [ "libgmp10" "libgmpxx4ldbl" "libgmp-dev" ] "GNU multiple precision arithmetic library" l.lgpl3Plus;
  pcre2 = p [ "libpcre2-8-0" "libpcre2-16-0" "libpcre2-32-0" "libpcre2-posix3" "libpcre2-dev" ] "Perl Compatible Regular Expressions" l.bsd3;
  libyaml = p [ "libyaml-0-2" "libyaml-dev" ] "YAML 1.1 parser and emitter written in C" l.mit;
  libuv = p [ "libuv1t64" "libuv1-dev" ] "Multi-platform support library with a focus on asynchronous I/O" l.mit;
  boost = p [ "libboost1.83-dev" ] "Collection of C++ libraries (those that are headers alone)" l.boost;
  catch2_3 = p [ "libcatch2-dev" ] "Modern, C++-native, test framework for unit-tests" l.boost;
  fmt = p [ "libfmt10" "libfmt-dev" ] "Small, safe and fast formatting library" l.mit;
  gettext = main "gettext" (p [ "gettext" "gettext-base" ] "Tools to translate the messages of programs" l.gpl3Plus);
  gtest = p [ "libgtest-dev" "libgmock-dev" "googletest" ] "Google's framework for writing C++ tests" l.bsd3;
  hiredis = p [ "libhiredis1.1.0" "libhiredis-dev" ] "Minimalistic C client for Redis" l.bsd3;
  jansson = p [ "libjansson4" "libjansson-dev" ] "C library for encoding, decoding and manipulating JSON data" l.mit;
  libcap = p [ "libcap2" "libcap-dev" ] "Library for working with POSIX capabilities" l.bsd3;
  libjpeg = p [ "libjpeg62-turbo" "libjpeg62-turbo-dev" ] "Faster (using SIMD) libjpeg implementation" l.ijg;
  libpng = needs [ "zlib" ] (p [ "libpng16-16t64" "libpng-dev" ] "Official reference implementation for the PNG file format" l.libpng2);
  libpq = needs [ "openssl" ] (p [ "libpq5" "libpq-dev" ] "C application programmer's interface to PostgreSQL" l.postgresql);
  libseccomp = p [ "libseccomp2" "libseccomp-dev" ] "High level library for the Linux Kernel seccomp filter" l.lgpl21Only;
  libsodium = p [ "libsodium23" "libsodium-dev" ] "Modern and easy-to-use crypto library" l.isc;
  libusb1 = p [ "libusb-1.0-0" "libusb-1.0-0-dev" ] "Cross-platform user-mode USB device library" l.lgpl21Plus;
  libxslt = needs [ "libxml2" ] (p [ "libxslt1.1" "libxslt1-dev" ] "C library and tools to do XSL transformations" l.mit);
  lz4 = main "lz4" (p [ "liblz4-1" "liblz4-dev" "lz4" ] "Extremely fast compression algorithm" l.bsd2);
  nlohmann_json = p [ "nlohmann-json3-dev" ] "JSON for Modern C++" l.mit;
  protobuf = needs [ "zlib" ] (p [ "libprotobuf32t64" "libprotobuf-lite32t64" "libprotoc32t64" "libprotobuf-dev" "libprotoc-dev" "protobuf-compiler" ] "Google's data interchange format" l.bsd3 // { mainProgram = "protoc"; });
  spdlog = needs [ "fmt" ] (p [ "libspdlog1.15" "libspdlog-dev" ] "Very fast, header-only or compiled, C++ logging library" l.mit);
  yaml-cpp = p [ "libyaml-cpp0.8" "libyaml-cpp-dev" ] "YAML parser and emitter for C++" l.mit;
  libevent = p [ "libevent-2.1-7t64" "libevent-core-2.1-7t64" "libevent-extra-2.1-7t64" "libevent-openssl-2.1-7t64" "libevent-pthreads-2.1-7t64" "libevent-dev" ] "Event notification library" l.bsd3;
}
