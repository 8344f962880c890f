{ lib }:
{
  isType = type: x: x._type or null == type;
  setType = typeName: value: value // { _type = typeName; };
  mkOptionType = null; isOptionType = null; defaultTypeMerge = null;
}
