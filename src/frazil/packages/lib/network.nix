# Network addresses.
{ lib }:
let
  bad = text: reason: throw "network.ipv6.fromString: \"${text}\" is no IPv6 address: ${reason}";
  group =
    text: part:
    if builtins.match "[0-9A-Fa-f]{1,4}" part == null then
      bad text "`${part}' is not one to four hexadecimal digits"
    else
      lib.toLower (lib.toHexString (lib.fromHexString part));
  groups = text: part: if part == "" then [ ] else map (group text) (lib.splitString ":" part);
  # The eight groups; `::` stands for as many zeros as are missing.
  expand =
    text: address:
    let
      halves = lib.splitString "::" address;
      left = groups text (builtins.head halves);
      right = groups text (lib.last halves);
      missing = 8 - builtins.length left - builtins.length right;
    in
    if builtins.length halves == 1 then
      (if builtins.length left == 8 then left else bad text "it has ${toString (builtins.length left)} groups, not 8")
    else if builtins.length halves > 2 then
      bad text "`::' can stand there once only"
    else if missing < 1 then
      bad text "there is nothing left for `::' to stand for"
    else
      left ++ lib.replicate missing "0" ++ right;
in
{
  ipv6 = {
    # { address, prefixLength } of "2001:db8::1/64"; the length is 128 where none is given.
    fromString =
      text:
      let
        parts = lib.splitString "/" text;
        prefixLength = if builtins.length parts == 1 then 128 else lib.toInt (lib.last parts);
      in
      if builtins.length parts > 2 then
        bad text "it has several slashes"
      else if prefixLength < 1 || prefixLength > 128 then
        bad text "the prefix length must be between 1 and 128"
      else
        {
          address = lib.concatStringsSep ":" (expand text (builtins.head parts));
          inherit prefixLength;
        };
    # The lower half of an address that is made of a MAC address: RFC 4291, appendix A.
    mkEUI64Suffix =
      mac:
      let
        octets = builtins.match (lib.concatStringsSep "[-:.]?" (lib.replicate 6 "([0-9A-Fa-f]{2})")) mac;
        at = builtins.elemAt octets;
        # The bit that says "unique in the world" is the other way round here.
        first = builtins.bitXor 512 (lib.fromHexString (at 0 + at 1));
      in
      if octets == null then
        throw "network.ipv6.mkEUI64Suffix: \"${mac}\" is no MAC address: six times two hexadecimal digits"
      else
        lib.toLower "${lib.toHexString first}:${at 2}ff:fe${at 3}:${at 4}${at 5}";
  };
}
