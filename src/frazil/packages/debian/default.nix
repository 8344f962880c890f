# Store objects from Debian packages: for each package (or group of packages) one derivation, its dependencies taken
# from the index, cycles merged. Everything is computed when asked for, and once.
{
  debian,
  system,
  cacert ? throw "cacert",
}:
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    filter
    genericClosure
    hasAttr
    head
    listToAttrs
    mapAttrs
    match
    replaceStrings
    sort
    substring
    toJSON
    ;

  platform = import ./platform.nix system;
  index = import ./index.nix {
    inherit debian;
    inherit (platform) architecture;
  };
  groups = import ./groups.nix;
  upstreamVersion = import ./version.nix;
  groupNames = attrNames groups;

  isGroup = unit: substring 0 1 unit == "@";
  groupName = unit: substring 1 (-1) unit;

  # A function on units that computes each answer once.
  memo =
    f:
    let
      grouped = listToAttrs (
        map (group: {
          name = group;
          value = f ("@" + group);
        }) groupNames
      );
      single = index.table f;
    in
    unit: if isGroup unit then grouped.${groupName unit} else single unit;

  toSet =
    names:
    listToAttrs (
      map (name: {
        inherit name;
        value = null;
      }) names
    );
  unique = names: attrNames (toSet names);
  keys = map (key: { inherit key; });

  # Needed by maintainer scripts alone, or data that programs here do not look for at their Debian place.
  ignoredPattern = builtins.concatStringsSep "|" [
    "debconf(-2[.]0)?|cdebconf|dpkg|install-info|adduser|init-system-helpers|ucf|lsb-base|sysvinit-utils|passwd"
    "base-files|base-passwd|debianutils|sensible-utils|media-types|mime-support|mailcap|readline-common|libc-l10n"
    "systemd|systemd-.*|locales|tzdata|tzdata-legacy|netbase|ca-certificates|libpam-runtime|libpam-modules(-bin)?"
    "gcc-[0-9]+-base|libcap2-bin|node-corepack|iproute2|procps|ssl-cert|lintian|dh-.*|debhelper|cpp-for-host|manpages-dev"
  ];
  ignored = name: match ignoredPattern name != null;

  groupOf =
    name:
    let
      claiming = filter (group: match groups.${group}.claims name != null) groupNames;
    in
    if claiming == [ ] then null else head claiming;

  requiredNames = index.table (
    name: filter (other: other != null && !ignored other) (map index.choose (index.get name).depends)
  );

  unitOf = index.table (
    name:
    let
      group = groupOf name;
    in
    if group == null then name else "@" + group
  );

  groupMembers =
    group:
    sort (a: b: a < b) (
      map (item: item.key) (genericClosure {
        startSet = keys (filter (name: index.find name != null) groups.${group}.seeds);
        operator = { key }: keys (filter (name: unitOf name == "@" + group) (requiredNames key));
      })
    );

  unitMembers = memo (unit: if isGroup unit then groupMembers (groupName unit) else [ unit ]);

  unitRequires = memo (
    unit: filter (other: other != unit) (unique (map unitOf (concatMap requiredNames (unitMembers unit))))
  );

  reachable = memo (
    unit:
    toSet (
      map (item: item.key) (genericClosure {
        startSet = keys (unitRequires unit);
        operator = { key }: keys (unitRequires key);
      })
    )
  );

  # The units that must share a store object with this one (they need each other), itself included.
  cycleOf = memo (
    unit:
    let
      from = reachable unit;
    in
    if hasAttr unit from then filter (other: hasAttr unit (reachable other)) (attrNames from) else [ unit ]
  );

  fetchPackage = index.table (
    name:
    let
      record = index.get name;
    in
    derivation {
      name = replaceStrings [ "~" "%" ":" ] [ "." "." "." ] (baseNameOf record.filename);
      system = "builtin";
      builder = "builtin:fetchurl";
      url = builtins.seq platform.unsupported "mirror://debian/${record.filename}";
      urls = [ "mirror://debian/${record.filename}" ];
      outputHash = record.sha256;
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
      executable = false;
      unpack = false;
      preferLocalBuild = true;
    }
  );

  sanitize = replaceStrings [ "@" "~" "%" ":" ] [ "" "." "." "." ];

  bootstrap = toSet (attrNames (reachable "bash") ++ [ "bash" ]);
  isBootstrap = unit: hasAttr unit bootstrap;

  # One store object out of Debian packages. `names`: packages to merge; the units they need become dependencies.
  # Further attributes go into the plan of builtin:debian.
  makePrefix =
    {
      pname,
      version,
      names,
      units,
      extraDepends ? [ ],
      plan ? { },
      attributes ? { },
    }:
    let
      own = toSet units;
      inUnits = filter (unit: !(hasAttr unit own)) (
        unique (map unitOf (concatMap requiredNames names) ++ (if hasAttr "@glibc" own then [ ] else [ "@glibc" ]))
      );
      hasShell = !(builtins.any isBootstrap units);
      extra = removeAttrs plan [ "depends" ];
    in
    derivation (
      {
        name = "${pname}-${version}";
        inherit pname version;
        system = "builtin";
        builder = "builtin:debian";
        preferLocalBuild = true;
        plan = builtins.seq platform.unsupported toJSON (
          {
            # What the builder makes of a plan: REVISION in build/debian_plan.py.
            revision = "2";
            packages = map fetchPackage names;
            depends = map unitPackage inUnits ++ extraDepends ++ (plan.depends or [ ]);
            inherit (platform) triplet;
            interpreter =
              if hasAttr "@glibc" own then "@out@/lib/${platform.loader}" else "${glibc}/lib/${platform.loader}";
            shell = if hasShell then "${unitPackage "bash"}" else "";
          }
          // extra
        );
      }
      // attributes
    );

  # What a unit needs said beyond the index; a function of the tools below, by unit.
  special = import ./special.nix {
    inherit
      platform
      index
      upstreamVersion
      package
      cacert
      ;
  };
  package = name: unitPackage (unitOf name);

  representative = unit: if isGroup unit then head groups.${groupName unit}.seeds else unit;
  cyclePackage = memo (
    unit:
    let
      units = cycleOf unit;
      leader = head units;
      names = concatLists (map unitMembers units);
      own = special.${leader} or { };
      # Who has a module among the inputs of a build has those it needs too.
      inputs = filter (other: isModule other && !(builtins.elem other units)) (concatMap unitRequires units);
      propagated =
        if isModule leader && inputs != [ ] then
          { "nix-support/propagated-build-inputs" = "${toString (map unitPackage (unique inputs))}\n"; }
        else
          { };
      files = propagated // own.plan.files or { };
    in
    if unit != leader then
      cyclePackage leader
    else
      makePrefix {
        pname = own.pname or (sanitize leader);
        version = sanitize (own.version or (upstreamVersion (index.get (own.versionOf or (representative leader))).version));
        inherit names units;
        plan = own.plan or { } // (if files == { } then { } else { inherit files; });
      }
  );
  isModule = unit: match "python3-.*|lib.*-perl" unit != null;
  unitPackage = unit: cyclePackage unit;
  glibc = unitPackage "@glibc";
in
{
  inherit
    platform
    index
    fetchPackage
    makePrefix
    unitOf
    unitPackage
    unitMembers
    unitRequires
    cycleOf
    reachable
    ;
  upstreamVersion = name: sanitize (upstreamVersion (index.get name).version);
  # The store object that holds a Debian package.
  inherit package;
}
