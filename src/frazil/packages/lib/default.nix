# The library: nixpkgs' names and meanings, in files by subject. `lib.extend` works as a package set's `extend` does.
let
  fix =
    f:
    let
      x = f x;
    in
    x;
  base =
    lib:
    let
      part = file: import file { inherit lib; };
      zeros = digit: count: parts.strings.replicate count digit;
      parts = {
        trivial = part ./trivial.nix;
        fixedPoints = part ./fixed-points.nix;
        attrsets = part ./attrsets.nix;
        lists = part ./lists.nix;
        strings = part ./strings.nix;
        stringsWithDeps = part ./strings-with-deps.nix;
        customisation = part ./customisation.nix;
        derivations = part ./derivations.nix;
        versions = part ./versions.nix;
        meta = part ./meta.nix;
        sources = part ./sources.nix;
        filesystem = part ./filesystem.nix;
        fileset = part ./fileset.nix;
        path = part ./path.nix;
        generators = part ./generators.nix;
        cli = part ./cli.nix;
        asserts = part ./asserts.nix;
        debug = part ./debug.nix;
        options = part ./options.nix;
        types = part ./types.nix;
        modules = part ./modules.nix;
        systems = part ./systems.nix;
        fetchers = part ./fetchers.nix;
        licenses = part ./licenses.nix;
        network = part ./network.nix;
        flakes = part ./flakes.nix;
        kernel = part ./kernel.nix;
        gvariant = part ./gvariant.nix;
        misc = part ./misc.nix;
      };
      spread = builtins.foldl' (all: name: all // parts.${name}) { } [
        "misc"
        "flakes"
        "modules"
        "options"
        "debug"
        "asserts"
        "cli"
        "filesystem"
        "sources"
        "meta"
        "versions"
        "derivations"
        "customisation"
        "stringsWithDeps"
        "fixedPoints"
        "lists"
        "attrsets"
        "strings"
        "trivial"
      ];
      # Reached through the subject's name alone.
      hidden = [
        "architectures"
        "functionNames"
        "hasStorePathPrefix"
        "assertEachOneOf"
        "availableOn"
        "charToInt"
        "checkAssertWarn"
        "codeName"
        "collectModules"
        "commonPrefix"
        "commonPrefixLength"
        "commonSuffixLength"
        "defaultOrderPriority"
        "defaultOverridePriority"
        "defaultPriority"
        "escapeC"
        "escapeNixIdentifier"
        "escapeNixString"
        "filterOverrides'"
        "findFirstIndex"
        "floatToString"
        "freeformOf"
        "fromParts"
        "haskellPathsInDir"
        "importApply"
        "isConvertibleWithToString"
        "keywords"
        "levenshtein"
        "levenshteinAtMost"
        "listFilesRecursive"
        "literalCode"
        "locateDominatingFile"
        "longestValidPathPrefix"
        "major"
        "majorMinor"
        "mergeAttrDefinitionsWithPrio"
        "mergeTree"
        "minor"
        "mkAliasAndWrapDefsWithPriority"
        "mkAliasIfDef"
        "normalizePath"
        "oldestSupportedRelease"
        "pad"
        "patch"
        "platformMatch"
        "release"
        "renderOptionValue"
        "resolveDefaultNix"
        "revisionWithDefault"
        "closePropagationFast"
        "closePropagationSlow"
        "sourceByGlobs"
        "cpeFullVersionWithVendor"
        "sanitizeDerivationName"
        "shortRev"
        "showDefs"
        "storeDir"
        "throwTestFailures"
        "toCommandLine"
        "toCommandLineGNU"
        "toCommandLineShell"
        "toCommandLineShellGNU"
        "toGNUCommandLine"
        "toGNUCommandLineShell"
        "unionOfDisjoint"
        "urlToName"
        "versionSuffix"
      ];
    in
    removeAttrs spread hidden
    // parts
    // {
      inherit (builtins)
        fromJSON
        fromTOML
        getContext
        hasContext
        hashFile
        hashString
        placeholder
        toFile
        toXML
        tryEval
        unsafeGetAttrPos
        addErrorContext
        ;
      # Since Nix 2.19.
      convertHash = builtins.convertHash;
      inherit (builtins) toJSON toString;
      inherit (parts.types)
        setType
        isType
        mkOptionType
        isOptionType
        defaultTypeMerge
        defaultFunctor
        ;
      inherit (parts.generators) mkLuaInline;
      inherit (parts.network.ipv6) mkEUI64Suffix;
      platforms = parts.systems.doubles;
      maintainers = { };
      teams = { };
      sourceTypes = {
        fromSource = {
          shortName = "fromSource";
          isSource = true;
        };
        binaryNativeCode = {
          shortName = "binaryNativeCode";
          isSource = false;
        };
        binaryBytecode = {
          shortName = "binaryBytecode";
          isSource = false;
        };
        obfuscatedCode = {
          shortName = "obfuscatedCode";
          isSource = false;
        };
        binaryFirmware = {
          shortName = "binaryFirmware";
          isSource = false;
        };
      };
      # Well-formed hashes that nothing has: to be told the right one.
      fakeHash = "sha256-${zeros "A" 43}=";
      fakeSha256 = zeros "0" 64;
      fakeSha512 = zeros "0" 128;
      inherit (parts.attrsets) zipAttrsWith;
      # Of names that two subjects have, the one that is meant.
      inherit (parts.lists) replicate;
      inherit (parts.debug) trace;
    };
  extensible =
    rattrs:
    fix (self: rattrs self // {
      extend =
        overlay:
        extensible (
          final:
          let
            prev = rattrs final;
          in
          prev // overlay final prev
        );
    });
in
extensible base
