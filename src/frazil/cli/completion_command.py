"""`completion`: what bash, zsh or fish need to complete command lines. The work is done by NIX_GET_COMPLETIONS."""

from __future__ import annotations

from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command
from frazil.errors import UsageError

BASH = r"""
_frazil_completion() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" kind answer word
    local -a words answers
    # The shell cuts words at colons and equal signs, too: put them together again.
    local index=0 joined=() at=-1
    for word in "${COMP_WORDS[@]}"; do
        if ((index > 0)) && [[ $word == [:=] || ${joined[-1]} == *[:=] ]] && [[ $line == *"${joined[-1]}$word"* ]]; then
            joined[-1]+=$word
        else
            joined+=("$word")
        fi
        ((index == COMP_CWORD)) && at=$((${#joined[@]} - 1))
        ((index += 1))
    done
    answers=($(NIX_GET_COMPLETIONS=$at "${joined[@]}" 2>/dev/null))
    kind=${answers[0]%%$'\t'*}
    [[ $kind == filenames ]] && compopt -o filenames
    [[ $kind == attrs ]] && compopt -o nospace
    local current=${joined[at]} typed=${COMP_WORDS[COMP_CWORD]}
    [[ $typed == [:=] ]] && typed=
    local cut=$((${#current} - ${#typed}))
    COMPREPLY=()
    for answer in "${answers[@]:1}"; do
        answer=${answer%%$'\t'*}
        COMPREPLY+=("${answer:cut}")
    done
}
complete -F _frazil_completion PROGRAMS
"""

ZSH = r"""#compdef PROGRAMS
_frazil_completion() {
    local -a answers texts described
    local answer kind
    answers=("${(@f)$(NIX_GET_COMPLETIONS=$((CURRENT - 1)) "${(@Q)words}" 2>/dev/null)}")
    kind=${answers[1]%%$'\t'*}
    for answer in "${(@)answers[2,-1]}"; do
        texts+=("${answer%%$'\t'*}")
        described+=("${answer%%$'\t'*}  ${answer#*$'\t'}")
    done
    case $kind in
        filenames) compadd -f -a texts ;;
        attrs) compadd -S '' -a texts ;;
        *) compadd -l -d described -a texts ;;
    esac
}
compdef _frazil_completion PROGRAMS
"""

FISH = r"""
function __frazil_completion
    set -l words (commandline --cut-at-cursor --tokenize --current-process)
    set -l current (commandline --cut-at-cursor --current-token)
    set -l answers (NIX_GET_COMPLETIONS=(count $words) $words "$current" 2>/dev/null)
    for answer in $answers[2..-1]
        echo $answer
    end
end
for program in PROGRAMS
    complete --command $program --no-files --arguments '(__frazil_completion)'
end
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def print_script(context: Context, arguments: Arguments) -> None:
    shell = arguments.positional[0]
    script = SCRIPTS.get(shell)
    if script is None:
        raise UsageError(f"unknown shell '{shell}'", hint=f"known are {', '.join(SCRIPTS)}")
    context.print(script.lstrip("\n").replace("PROGRAMS", context.program), end="")


COMMANDS = {
    "completion": Command(
        print_script,
        "print what a shell needs to complete command lines",
        positional="shell",
        at_least=1,
        at_most=1,
        experimental=None,
        description="Shells: bash, zsh, fish.",
        examples=[
            ("In bash, for example in ~/.bashrc", 'eval "$(frazil completion bash)"'),
            ("In zsh, after compinit", 'eval "$(frazil completion zsh)"'),
            ("In fish", "frazil completion fish > ~/.config/fish/completions/frazil.fish"),
        ],
    ),
}
