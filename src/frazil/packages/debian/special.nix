# What the index does not say about single units: links made by maintainer scripts, places compiled into programs.
# `cacert` and `package` come from outside this file's own recursion: they are only forced where used.
{
  platform,
  index,
  upstreamVersion,
  package,
  cacert,
}:
let
  inherit (builtins) head match;
  version = name: upstreamVersion (index.get name).version;
  majorMinor = text: head (match "([0-9]+[.][0-9]+).*" text);
  perl = majorMinor (version "perl");
  # How Debian writes the version of Vim's runtime folder: 9.1.1230 lies in vim91.
  vim = builtins.replaceStrings [ "." ] [ "" ] (majorMinor (version "vim"));
  perlPath = builtins.concatStringsSep ":" [
    "@out@/lib/perl/${perl}"
    "@out@/share/perl/${perl}"
    "@out@/share/perl5"
    "@out@/lib/perl-base"
  ];
  terminfo = {
    TERMINFO_DIRS = "${package "ncurses-base"}/lib/terminfo";
  };
  ownTerminfo = names: {
    plan.wrappers = builtins.listToAttrs (
      map (name: {
        name = "bin/${name}";
        value.default = terminfo;
      }) names
    );
  };
  # Programs in Python: where their own modules and those of others are.
  modules = names: builtins.concatStringsSep ":" (map (place: "${place}/lib/python3/dist-packages") ([ "@out@" ] ++ map package names));
  inPython = program: names: { plan.wrappers."bin/${program}".suffix.PYTHONPATH = modules names; };
  hook = name: { files."nix-support/setup-hook" = builtins.readFile (../hooks + "/${name}.sh"); };
  # The certificate authorities to trust, in one file.
  authorities = cacert + "/etc/ssl/certs/ca-bundle.crt";
  certificates = {
    SSL_CERT_FILE = authorities;
  };
in
{
  "@glibc" = {
    pname = "glibc";
    versionOf = "libc6";
    plan = {
      unpatched = [ "lib/${platform.loader}" ];
      exclude = [ "lib/ld.so" ];
      links."lib64" = "lib";
      loader = "lib/${platform.loader}";
    };
  };
  sed.pname = "gnused";
  grep.pname = "gnugrep";
  tar.pname = "gnutar";
  make.pname = "gnumake";
  xz-utils.pname = "xz";
  gnu-which = {
    pname = "which";
    plan.links."bin/which" = "which.gnu";
  };
  fd-find = {
    pname = "fd";
    plan.links."bin/fd" = "fdfind";
  };
  bat.plan.links."bin/bat" = "batcat";
  stow.plan.wrappers."bin/stow".suffix.PERL5LIB = "@out@/share/perl5";
  figlet.plan.links."bin/figlet" = "figlet-figlet";
  # Meson calls itself by its file, so a wrapper would be lost.
  meson.plan = hook "meson" // {
    substitutions = [
      {
        files = [ "bin/meson" ];
        old = "from mesonbuild import";
        new = "__import__('sys').path.insert(0, '@out@/lib/python3/dist-packages'); from mesonbuild import";
      }
    ];
  };
  libtool.plan.substitutions = [
    {
      files = [ "bin/libtoolize" ];
      old = "/usr/share";
      new = "@out@/share";
    }
    {
      files = [ "bin/libtoolize" ];
      old = "prefix=\"/usr\"";
      new = "prefix=\"@out@\"";
    }
  ];
  mypy = inPython "mypy" (map (name: "python3-${name}") [ "mypy" "mypy-extensions" "typing-extensions" "psutil" ]);
  yq = inPython "yq" (map (name: "python3-${name}") [ "argcomplete" "tomlkit" "xmltodict" "yaml" ]);
  autoconf.plan.substitutions = [
    {
      files = [ "bin/*" "share/autoconf/*.cfg" ];
      old = "/usr/share/autoconf";
      new = "@out@/share/autoconf";
    }
    {
      files = [ "bin/*" ];
      old = "/usr/bin/auto";
      new = "@out@/bin/auto";
    }
    {
      files = [ "bin/*" ];
      old = "/usr/bin/m4";
      new = "${package "m4"}/bin/m4";
    }
  ];
  automake.plan = hook "automake" // {
    # For its first lines; the package itself needs it through autoconf only.
    depends = [ (package "perl") ];
    links = {
      "bin/automake" = "automake-${majorMinor (version "automake")}";
      "bin/aclocal" = "aclocal-${majorMinor (version "automake")}";
    };
    substitutions = [
      {
        files = [ "bin/*" "share/automake-*/*" ];
        old = "/usr/share/a";
        new = "@out@/share/a";
      }
    ];
  };
  m4.pname = "gnum4";
  ninja-build = {
    pname = "ninja";
    plan = hook "ninja";
  };
  "@cmake".plan = hook "cmake";
  bash.plan.links."bin/sh" = "bash";
  # Opened at run time, for compressed modules.
  kmod.plan.runpath."bin/kmod" = map (name: "${package name}/lib") [
    "liblzma5"
    "libzstd1"
  ];
  # Firmware and option ROMs lie in packages of their own.
  qemu-system-x86 = {
    pname = "qemu";
    plan.wrappers."bin/qemu-system-x86_64".flags = builtins.concatMap (folder: [ "-L" folder ]) [
      "${package "qemu-system-data"}/share/qemu"
      "${package "seabios"}/share/seabios"
      "${package "ipxe-qemu"}/share/qemu"
    ];
  };
  gawk.plan.links."bin/awk" = "gawk";
  "@perl".plan = hook "perl" // {
    wrappers."bin/perl".suffix.PERL5LIB = perlPath;
    exclude = [ "etc/perl/Net" ];
  };
  "@python3".plan = hook "python" // {
    links."bin/python" = "python3";
  };
  "@git".plan = {
    exclude = [
      "share/gitweb"
      "etc"
    ];
    wrappers."bin/git" = {
      default = {
        GIT_EXEC_PATH = "@out@/lib/git-core";
        GIT_TEMPLATE_DIR = "@out@/share/git-core/templates";
        GITPERLLIB = "@out@/share/perl5";
        GIT_SSL_CAINFO = authorities;
      };
      suffix.PATH = builtins.concatStringsSep ":" (
        map (name: "${package name}/bin") [
          "coreutils"
          "sed"
          "grep"
          "gawk"
        ]
      );
    };
  };
  cowsay.plan = {
    substitutions = [
      {
        files = [ "bin/cowsay" ];
        old = "/usr/share/cowsay";
        new = "@out@/share/cowsay";
      }
      {
        files = [ "bin/cowsay" ];
        # As cowsay prints it since 3.04: a space behind the lines.
        old = "\" \" . (\"_\" x $max2) . \"\\n\"";
        new = "\" \" . (\"_\" x $max2) . \" \\n\"";
      }
      {
        files = [ "bin/cowsay" ];
        old = "\" \" . (\"-\" x $max2) . \"\\n\"";
        new = "\" \" . (\"-\" x $max2) . \" \\n\"";
      }
      {
        files = [ "bin/cowsay" ];
        old = "use Text::CharWidth";
        new = "use lib '${package "libtext-charwidth-perl"}/lib/perl5/${perl}';\nuse Text::CharWidth";
      }
    ];
    links."bin/cowthink" = "cowsay";
  };
  "@vim".plan = {
    links = builtins.listToAttrs (
      map
        (name: {
          name = "bin/${name}";
          value = if name == "vim" then "vim.basic" else "vim";
        })
        [
          "vim"
          "vi"
          "view"
          "ex"
          "vimdiff"
          "rvim"
        ]
    );
    wrappers."bin/vim".default = {
      VIM = "@out@/share/vim";
      VIMRUNTIME = "@out@/share/vim/vim${vim}";
    }
    // terminfo;
  };
  curl.plan.wrappers."bin/curl".default = certificates;
  wget.plan.wrappers."bin/wget".default = certificates;
  "@go" = {
    pname = "go";
    versionOf = "golang-${majorMinor (version "golang-go")}-go";
    plan = {
      # Programs and data inside the sources are for Go's own tests.
      unpatched = [ "share/go-*/*" ];
      # What uses C is linked by the C compiler, which knows the loader; without one, Go does everything itself.
      executables."bin/go" = ''
        #! ${package "bash"}/bin/bash
        export GOTOOLCHAIN=''${GOTOOLCHAIN-local}
        if [[ -z "''${GO_EXTLINK_ENABLED+set}" && "''${CGO_ENABLED:-1}" != 0 ]] && type -P "''${CC:-gcc}" >/dev/null; then
          export GO_EXTLINK_ENABLED=1
        fi
        exec -a "$0" @out@/lib/go-${majorMinor (version "golang-go")}/bin/go "$@"
      '';
    };
  };
  "@nodejs" = {
    pname = "nodejs";
    # Parts of Node's own library lie in files whose places are compiled in.
    plan.redirects."lib/libnode.so.*"."/usr/share/nodejs/" =
      if platform.architecture == "amd64" then
        "@out@/share/nodejs/"
      else
        throw "frazilpkgs has no nodejs for ${platform.architecture} yet";
  };
  "@gcc" = {
    pname = "gcc";
    versionOf = "gcc";
    plan = {
      keep_linker_scripts = true;
      links = {
        "usr" = ".";
        "lib64" = "lib";
        "lib/libc.so.6" = "${package "libc6"}/lib/libc.so.6";
        "lib/libgcc_s.so.1" = "${package "libc6"}/lib/libgcc_s.so.1";
        "lib/libm.so.6" = "${package "libc6"}/lib/libm.so.6";
        "lib/${platform.loader}" = "${package "libc6"}/lib/${platform.loader}";
      }
      // (if platform.architecture == "amd64" || platform.architecture == "arm64" then {
        "lib/libmvec.so.1" = "${package "libc6"}/lib/libmvec.so.1";
      } else { });
    };
  };
  file.plan.wrappers."bin/file".default.MAGIC = "${package "libmagic-mgc"}/lib/file/magic.mgc";
  bison.plan.wrappers."bin/bison".default = {
    BISON_PKGDATADIR = "@out@/share/bison";
    M4 = "${package "m4"}/bin/m4";
  };
  flex.plan.wrappers."bin/flex".default.M4 = "${package "m4"}/bin/m4";
  "lua5.4".plan.links."bin/lua" = "lua5.4";
  python3-pip.plan.substitutions = [
    {
      files = [ "lib/python3/dist-packages/pip/_vendor/certifi/core.py" ];
      old = "/etc/ssl/certs/ca-certificates.crt";
      new = authorities;
    }
  ];
  python3-certifi.plan.substitutions = [
    {
      files = [ "lib/python3/dist-packages/certifi/*.py" ];
      old = "/etc/ssl/certs/ca-certificates.crt";
      new = authorities;
    }
  ];
  # Chosen among several by maintainer scripts.
  libblas3.plan.links."lib/libblas.so.3" = "blas/libblas.so.3";
  liblapack3.plan.links."lib/liblapack.so.3" = "lapack/liblapack.so.3";
  less = ownTerminfo [ "less" ];
  nano = ownTerminfo [ "nano" ];
  htop = ownTerminfo [ "htop" ];
  tmux = ownTerminfo [ "tmux" ];
}
