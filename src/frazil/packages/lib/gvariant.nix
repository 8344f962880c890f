# Values as GLib's GVariant text format has them, with their types.
{ lib }:
let
  codes = {
    boolean = "b";
    uchar = "y";
    int16 = "n";
    uint16 = "q";
    int32 = "i";
    uint32 = "u";
    int64 = "x";
    uint64 = "t";
    double = "d";
    string = "s";
    variant = "v";
  };
  type = codes // {
    arrayOf = element: "a" + element;
    maybeOf = element: "m" + element;
    tupleOf = elements: "(" + lib.concatStrings elements + ")";
    dictionaryEntryOf = key: value: "{" + key + value + "}";
  };
  # `show` is the text of the value inside; most say their type before it.
  typed = type: value: show: {
    _type = "gvariant";
    inherit type value;
    __toString = self: show self;
  };
  plain = type: value: typed type value (self: "@${self.type} ${toString self.value}");
  commas = lib.concatMapStringsSep "," toString;
in
rec {
  inherit type;
  isGVariant = x: x._type or "" == "gvariant";
  intConstructors = lib.mapAttrsToList (name: type: { inherit name type; }) {
    mkInt16 = type.int16;
    mkUint16 = type.uint16;
    mkInt32 = type.int32;
    mkUint32 = type.uint32;
    mkInt64 = type.int64;
    mkUint64 = type.uint64;
  };
  mkValue =
    x:
    let
      kind = builtins.typeOf x;
      make = {
        string = mkString;
        list = mkArray;
        float = mkDouble;
        bool = mkBoolean;
        int = throw "gvariant.mkValue: GVariant has several types of integers; choose one for ${toString x}, as mkInt32 or mkUint32 (mkUchar for a byte)";
        set = throw "gvariant.mkValue: a set of attributes may be a dictionary of several types; make a list of mkDictionaryEntry";
      };
    in
    if isGVariant x then x else (make.${kind} or (throw "gvariant.mkValue: there is no GVariant for a value of type ${kind}")) x;
  mkBoolean = x: typed type.boolean x (self: lib.boolToString self.value);
  mkString =
    x: typed type.string x (self: "'${lib.replaceStrings [ "\\" "'" "\n" ] [ "\\\\" "\\'" "\\n" ] self.value}'");
  mkObjectpath = x: typed type.string x (self: "objectpath '${lib.escape [ "'" ] self.value}'");
  mkUchar = plain type.uchar;
  mkInt16 = plain type.int16;
  mkUint16 = plain type.uint16;
  # What a bare number in the text is.
  mkInt32 = x: typed type.int32 x (self: toString self.value);
  mkUint32 = plain type.uint32;
  mkInt64 = plain type.int64;
  mkUint64 = plain type.uint64;
  mkDouble = x: typed type.double x (self: toString self.value);
  mkEmptyArray = element: typed (type.arrayOf element) [ ] (self: "@${self.type} []");
  mkArray =
    items:
    let
      values = map mkValue items;
      element = (builtins.head values).type;
      same = builtins.all (value: value.type == element) values;
    in
    if items == [ ] then
      throw "gvariant.mkArray: of what type are the elements of an empty array? Use mkEmptyArray"
    else if !same then
      throw "gvariant.mkArray: the elements of an array are of one type, but these are ${lib.concatMapStringsSep ", " (value: value.type) values}"
    else
      typed (type.arrayOf element) values (self: "@${self.type} [${commas self.value}]");
  mkTuple =
    items:
    let
      values = map mkValue items;
    in
    typed (type.tupleOf (map (value: value.type) values)) values (self: "@${self.type} (${commas self.value})");
  mkVariant =
    item:
    let
      value = mkValue item;
    in
    typed type.variant value (self: "<${toString self.value}>");
  mkDictionaryEntry =
    name: item:
    let
      key = mkValue name;
      value = mkValue item;
    in
    typed (type.dictionaryEntryOf key.type value.type) { inherit name; value = item; } (
      self: "@${self.type} {${toString key},${toString value}}"
    );
  mkNothing = element: typed (type.maybeOf element) null (self: "@${self.type} nothing");
  mkJust =
    item:
    let
      value = mkValue item;
    in
    typed (type.maybeOf value.type) value (self: "just ${toString self.value}");
  mkMaybe = element: item: if item == null then mkNothing element else mkJust item;
}
