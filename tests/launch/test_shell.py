"""The reader of launch scripts: public scripts as people write them, the language piece by piece, and hostile input."""

from __future__ import annotations

import json
import os
import shlex
import string
import subprocess
import time
from pathlib import Path

import pytest
import tomllib
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.launch.shell import Command, Launch, Script, read_arguments, read_script, strip_launcher

SCRIPTS = Path(__file__).parent / "scripts"


def script(name: str) -> Script:
    """One of the scripts beside this file."""
    return read_script((SCRIPTS / name).read_text(encoding="utf-8"))


def launch(read: Script, program: str) -> Launch:
    """The only command of a script that starts this program."""
    found = [one for one in map(strip_launcher, read.commands) if one.program.rpartition("/")[2] == program]
    assert len(found) == 1
    return found[0]


def flags(words: tuple[str, ...]) -> dict[str, str]:
    """--name value, --name=value and --name, as a simple parser takes them."""
    found: dict[str, str] = {}
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            after = words[place + 1] if place + 1 < len(words) else ""
            found[name] = value if equals else "" if after.startswith("-") else after
    return found


def texts(command: Command) -> list[str]:
    """Its words."""
    return [word.text for word in command.words]


def argv(text: str, **environment: str) -> list[list[str]]:
    """All commands of a text."""
    return [texts(command) for command in read_script(text, environment).commands]


def words(text: str) -> list[str]:
    """What one command becomes behind `x`."""
    (command,) = (found for found in argv(text) if found[0] == "x")
    return command[1:]


MEGATRON = ("tensor-model-parallel-size", "pipeline-model-parallel-size", "micro-batch-size", "global-batch-size")
SHAPE = ("num-layers", "hidden-size", "num-attention-heads", "seq-length")

FACTS = {
    "gpt3_175b.sh": ("pretrain_gpt.py", 16, 8, (8, 16, 1, 1536), (96, 12288, 96, 2048)),
    "llama3_8b_fp8.sh": ("pretrain_gpt.py", 1, 8, (1, None, 1, 128), (32, 4096, 32, 8192)),
    "azure_175b_zero3.sh": ("pretrain_gpt.py", 1, None, (1, 1, 4, 32), (96, 12288, 96, 1024)),
    "llama2_deepspeed.sh": ("pretrain_gpt.py", 1, 8, (2, 2, 4, 32), (24, 2048, 16, 2048)),
    "bloom_176b.slurm.sh": ("pretrain_gpt.py", 48, 8, (4, 12, 2, 2048), (70, 14336, 112, 2048)),
    "gpt_6b7_deepspeed.sh": ("pretrain_gpt.py", None, None, (1, 1, 16, 1024), (32, 4096, 32, 2048)),
    "pai_llama3_8b.sh": ("pretrain_llama.py", 1, 8, (4, 2, 1, 256), (32, 4096, 32, 4096)),
    "mixtral_8x7b.sh": ("pretrain_gpt.py", 1, 8, (1, 4, 1, 256), (32, 4096, 32, 4096)),
    "sc21_srun.sh": ("pretrain_gpt.py", 12, 8, (8, 12, 1, 1536), (96, 12288, 96, 2048)),
}
"""Program, nodes, processes of a node, (TP, PP, micro batch, global batch), (layers, hidden, heads, sequence)."""

IGNORED = {
    "accelerate_fsdp.sh": [],
    "azure_175b_zero3.sh": [],
    "bloom_176b.slurm.sh": [10],
    "colossalai_65b.sh": [],
    "deepseek_docker.slurm.sh": [13, 16],
    "deepspeed_chat_7b.sh": [5, 8],
    "glm_10b.sh": [8],
    "gpt3_175b.sh": [],
    "gpt_6b7_deepspeed.sh": [62],
    "llama2_deepspeed.sh": [],
    "llama3_8b_fp8.sh": [60],
    "llama_factory_zero3.sh": [],
    "mixtral_8x7b.sh": [54],
    "pai_llama3_8b.sh": [6],
    "sc21_srun.sh": [],
    "torchtitan_run.sh": [12],
}
"""Lines that are not read or not followed."""


class TestPublicScripts:
    """What a person reads off each script."""

    @pytest.mark.parametrize("name", FACTS)
    def test_megatron(self, name: str) -> None:
        """Layout, batch, shape and launcher of Megatron-LM and Megatron-DeepSpeed."""
        program, nodes, per_node, layout, shape = FACTS[name]
        found = launch(script(name), program)
        read = flags(tuple(word.text for word in found.words))
        assert (found.nodes, found.per_node) == (nodes, per_node)
        assert tuple(int(read[f"--{f}"]) if f"--{f}" in read else None for f in MEGATRON) == layout
        assert tuple(int(read[f"--{f}"]) for f in SHAPE) == shape

    @pytest.mark.parametrize("name", IGNORED)
    def test_ignored(self, name: str) -> None:
        """Nothing else is left out."""
        assert [line for line, _ in script(name).ignored] == IGNORED[name]

    def test_every_script_is_read(self) -> None:
        """And names where its facts are from."""
        assert {path.name for path in SCRIPTS.glob("*.sh")} == set(IGNORED)
        assert all("# facts: " in path.read_text(encoding="utf-8") for path in SCRIPTS.iterdir())

    @pytest.mark.parametrize(
        ("name", "document", "stage", "micro", "batch"),
        [
            ("azure_175b_zero3.sh", "ds_config.json", 3, 4, 32),
            ("llama2_deepspeed.sh", "./tmp/deepspeed.json", 0, 4, 32),
            ("bloom_176b.slurm.sh", "./ds_config.$SLURM_JOB_ID.json", 0, 2, 2048),
        ],
    )
    def test_documents(self, name: str, document: str, stage: int, micro: int, batch: int) -> None:
        """Configurations written by the script, with its variables; the command names the same file."""
        read = script(name)
        config = json.loads(read.documents[document])
        assert config["zero_optimization"]["stage"] == stage
        assert (config["train_micro_batch_size_per_gpu"], config["train_batch_size"]) == (micro, batch)
        command = launch(read, "pretrain_gpt.py")
        assert flags(tuple(word.text for word in command.words))["--deepspeed_config"] == document

    def test_bloom(self) -> None:
        """A launcher and its command in strings, run by srun with bash -c; quotes inside survive once."""
        read = script("bloom_176b.slurm.sh")
        found = launch(read, "pretrain_gpt.py")
        said = [word.text for word in found.words]
        assert read.directives[1:4] == ("--nodes=48", "--ntasks-per-node=1", "--gres=gpu:8")
        assert said[said.index("--pp-partition-method") + 1] == "type:transformer|embedding"
        assert said[said.index("--rampup-batch-size") + 1 :][:3] == ["192", "16", "9_765_625"]
        assert {word.text: word.line for word in found.words}["--num-layers"] == 37
        assert found.launcher[0].text == "srun"

    def test_llama3(self) -> None:
        """Commented elements are no elements; "--a b" in an array is two words; known conditions are followed."""
        said = [word.text for word in launch(script("llama3_8b_fp8.sh"), "pretrain_gpt.py").words]
        assert "--pipeline-model-parallel-size" not in said
        assert said[said.index("--fp8-format") + 1] == "hybrid"
        assert "--mock-data" in said and "--data-path" not in said

    def test_mixtral(self) -> None:
        """Experts, and comments between elements that end in a backslash."""
        said = [word.text for word in launch(script("mixtral_8x7b.sh"), "pretrain_gpt.py").words]
        assert said[said.index("--num-experts") + 1] == "8"
        assert said[said.index("--expert-model-parallel-size") + 1] == "8"
        assert said[-3:] == ["--eval-iters", "10", "--no-load-rng"]

    def test_pai(self) -> None:
        """Conditions over defaults are followed; the unknown one is assumed to be its first branch, and said so."""
        read = script("pai_llama3_8b.sh")
        said = [word.text for word in launch(read, "pretrain_llama.py").words]
        assert {"--recompute-activations", "--bf16", "--sequence-parallel", "--group-query-attention"} <= set(said)
        assert "--recompute-method" not in said
        assert "assumed" in read.ignored[0][1] and "NNODES=1" in read.ignored[0][1]

    def test_gpt_dense(self) -> None:
        """Arithmetic over long numbers, and a configuration that sed writes."""
        read = script("gpt_6b7_deepspeed.sh")
        assert read.variables["TRAIN_SAMPLES"] == "439453125"
        assert read.variables["CL_STEP"] == "55069"
        assert read.documents == {}
        assert "ds_config_gpt_gpt-6.7B-bs-1024-gpus-8.json" in read.ignored[0][1]

    def test_deepseek(self) -> None:
        """srun bash -c 'docker run ... bash -c "..."': variables before the inner command are its environment."""
        read = script("deepseek_docker.slurm.sh")
        found = next(one for one in map(strip_launcher, read.commands) if one.program.endswith("train_deepseekv3.sh"))
        wanted = {"TP": "2", "PP": "16", "EP": "4", "SEQ_LEN": "4096", "MICRO_BATCH_SIZE": "1"}
        assert wanted.items() <= found.environment.items()

    def test_torchtitan(self) -> None:
        """The launcher's options end at the program; its TOML is a file beside it."""
        found = launch(script("torchtitan_run.sh"), "train.py")
        assert [word.text for word in found.words] == ["--job.config_file", "./train_configs/llama3_70b.toml"]
        assert (found.nodes, found.per_node) == (8, 8)
        assert found.environment == {"USE_LIBUV": "1", "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
        config = tomllib.loads((SCRIPTS / "llama3_70b.toml").read_text(encoding="utf-8"))
        assert config["training"]["tensor_parallel_degree"] == 8

    def test_trainers(self) -> None:
        """Transformers' Trainer, DeepSpeed-Chat, accelerate, ColossalAI and GLM."""
        factory = launch(script("llama_factory_zero3.sh"), "train_bash.py")
        read = flags(tuple(word.text for word in factory.words))
        assert (factory.nodes, factory.per_node, read["--deepspeed"]) == (4, 8, "ds_z3_config.json")
        assert (read["--per_device_train_batch_size"], read["--gradient_accumulation_steps"]) == ("1", "2")
        chat = launch(script("deepspeed_chat_7b.sh"), "main.py")
        assert (chat.nodes, chat.per_node) == (1, 4)
        assert flags(tuple(word.text for word in chat.words))["--zero_stage"] == "3"
        colossal = launch(script("colossalai_65b.sh"), "benchmark.py")
        assert (colossal.per_node, flags(tuple(w.text for w in colossal.words))["--pp"]) == (8, "4")
        assert launch(script("accelerate_fsdp.sh"), "run.py").launcher[-1].text == "FSDP.yaml"
        glm = launch(script("glm_10b.sh"), "pretrain_gpt2.py")
        assert (glm.nodes, glm.per_node, glm.environment["NCCL_IB_DISABLE"]) == (32, 8, "0")


class TestWords:
    """Expansion and splitting."""

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("A=1; x $A ${A} \"$A b\" '$A' $A$A", ["1", "1", "1 b", "$A", "11"]),
            ("x ${A:-def} ${A-d} ${A:=set} $A ${A:+alt} ${B:+no}", ["def", "d", "set", "set", "alt"]),
            ('A=; x "${A:-d}" "${A-d}" "${A:+a}" "${A+a}"', ["d", "", "", "a"]),
            (
                "A=/p/f.tar.gz; x ${A##*/} ${A#*/} ${A%.*} ${A%%.*} ${#A}",
                ["f.tar.gz", "p/f.tar.gz", "/p/f.tar", "/p/f", "11"],
            ),
            (
                "A=a-b-c; x ${A/-/+} ${A//-/+} ${A//-} ${A:2} ${A:2:1} ${A^^}",
                ["a+b-c", "a+b+c", "abc", "b-c", "b", "A-B-C"],
            ),
            ("A=2 B=3; x $((A*B/2)) $(( ${A}**$B % 5 )) $((-A+(B>2))) $[A+1]", ["3", "3", "-1", "3"]),
            ("let A=2+3; ((A++)); A=$((A*2)); x $A", ["12"]),
            (
                'A=(a \'b c\' "d" # no\n e); x ${A[1]} "${A[@]}" ${#A[@]} ${A[-1]}',
                ["b", "c", "a", "b c", "d", "e", "4", "e"],
            ),
            (
                'A=(1); A+=(2 3); A[5]=6; x ${A[*]} "${A[*]}" ${!A[@]}',
                ["1", "2", "3", "6", "1 2 3 6", "0", "1", "2", "5"],
            ),
            ("declare -A M=([s]=7 [l]=70); K=l; x ${M[$K]} ${M[s]}", ["70", "7"]),
            (
                'O=" --a 1 \\\n --b 2"; O="$O --c"; O+=" --d"; x $O "$O"',
                ["--a", "1", "--b", "2", "--c", "--d", " --a 1  --b 2 --c --d"],
            ),
            ("x $'a\\tb\\x41' a\\ b \"a\\\"b\\$c\\d\" ''", ["a\tbA", "a b", 'a"b$c\\d', ""]),
            ("x a{1,2}b {1..3} --s={a,b} {a}", ["a1b", "a2b", "1", "2", "3", "--s=a", "--s=b", "{a}"]),
            (
                "x $(echo a  b) \"$(echo 'a  b')\" `expr 2 \\* 3` $(basename /p/f.sh .sh) $(dirname /p/f)",
                ["a", "b", "a  b", "6", "f", "/p"],
            ),
            ("x --a \\\n  --b \\\n  --c # no", ["--a", "--b", "--c"]),
            ('E=; x $E "$E" a$E', ["", "a"]),
            ("N=A; A=7; x ${!N} $(( N + 1 ))", ["7", "8"]),
            ("x a > f b 2>&1 c", ["a", "b", "c"]),
            ("A=abc; x ${A/#a/X} ${A/%c/X} ${A: -2} ${A/z/y}; P=a/b; y ${P//\\//-}", ["Xbc", "abX", "bc", "abc"]),
            ('A=(1 2 3); x ${A[@]:1} "${A[@]:0:2}" {a,b}{1,2}', ["2", "3", "1", "2", "a1", "a2", "b1", "b2"]),
        ],
    )
    def test_known(self, text: str, wanted: list[str]) -> None:
        """As bash does it."""
        assert words(text) == wanted

    @pytest.mark.parametrize(
        ("text", "wanted", "names"),
        [
            ("x $FOO", "$FOO", ("FOO",)),
            ('x "a ${FOO} b"', "a ${FOO} b", ("FOO",)),
            ("x ${FOO%.json}", "${FOO%.json}", ("FOO",)),
            ("A=$(hostname -i | head -1); x $A:1", "$(hostname -i | head -1):1", ("$(hostname -i | head -1)",)),
            ("x $((FOO * 8))", "$((FOO * 8))", ("FOO",)),
            ("x `pwd`/a", "`pwd`/a", ("$(pwd)",)),
            ("A=$1; x $A", "$1", ("1",)),
            ('x "$@"', "$@", ("@",)),
        ],
    )
    def test_unknown(self, text: str, wanted: str, names: tuple[str, ...]) -> None:
        """What nobody knows stays as written, is one word, and is named."""
        (word,) = read_script(text).commands[-1].words[1:]
        assert (word.text, word.unknown) == (wanted, names)

    def test_lines(self) -> None:
        """A flag in an array is on its own line, a value where it was set."""
        text = "N=8\nA=(\n  --a $N\n  --b 2\n)\nx ${A[@]} \\\n  --c\n"
        assert [(word.text, word.line) for word in read_script(text).commands[0].words] == [
            ("x", 6), ("--a", 3), ("8", 1), ("--b", 4), ("2", 4), ("--c", 7),
        ]  # fmt: skip

    def test_a_comment_ends_a_continued_command(self) -> None:
        """As in bash: the flags behind it are another command."""
        assert argv("x --a \\\n # --b \\\n --c 1\n") == [["x", "--a"], ["--c", "1"]]

    def test_given_variables(self) -> None:
        """The environment of the caller counts like exported variables."""
        assert argv("x ${N:-1} $((N*2))", N="4") == [["x", "4", "8"]]
        assert read_script("x", {"N": "4"}).commands[0].environment == {"N": "4"}

    def test_dos_lines(self) -> None:
        """Line ends of Windows are line ends."""
        assert argv("A=1\r\nx $A\r\n") == [["x", "1"]]


def test_printf() -> None:
    """Into a variable or a word; [*] has the first character of IFS between its elements."""
    list_of = 'a=(0 0 1)\nprintf -v f "[%s]" "$(IFS=\', \'; echo "${a[*]}")"\nx "$f" "${a[*]}"\n'
    assert words(list_of) == ["[0,0,1]", "0 0 1"]
    assert words("x $(printf '%s-%d\\n' a 3) $(printf '%s,' 1 2) $(printf 100%%)\n") == ["a-3", "1,2,", "100%"]
    assert "which nothing" not in str(read_script("printf -v f '%x' 3\nx $f\n").commands[-1])
    assert read_script("printf -v f '%s' $U\nx $f\n").ignored


def test_read_of_a_word() -> None:
    """<<<: into names, or a list."""
    assert words("IFS=',' read -r A B <<< 4,2,1\nx $A $B\n") == ["4", "2,1"]
    assert words('read A B C <<< "8  2"\nx $A $B "$C"\n') == ["8", "2", ""]
    assert words('IFS=/ read -ra P <<< "a b/c"\nx "${P[@]}"\n') == ["a b", "c"]
    assert words('for c in 2,1; do\nIFS="," read -r TP PP <<< "$c"\nx $TP $PP\ndone\n') == ["2", "1"]
    assert read_script("read A <<< $U\nx $A\n").ignored


class TestFlow:
    """Conditions, loops, functions."""

    @pytest.mark.parametrize(
        ("condition", "truth"),
        [
            ('[ "$A" = 8 ]', True),
            ("[[ $A == 8* ]]", True),
            ('[[ $A == "8*" ]]', False),
            ("[ $A -gt 7 -a 1 -lt 2 ]", True),
            ("[ ! -z $A ] && [[ -n $A || $U ]]", True),
            ("[[ ( $A -le 7 ) || ! $A != 8 ]]", True),
            ("((A > 7 && A < 9))", True),
            ("[ $A ]", True),
            ("test $A -eq 9", False),
            ("! true", False),
            ("[ -f x ]", None),
            ("[[ $U == x ]]", None),
            ('[ -z "$U" ]', None),
            ("nvidia-smi", None),
            ("[[ x$A =~ 8 ]]", True),
            ('[[ ! "--a --b" =~ "--b" ]]', False),
            ("[[ $A =~ ^[0-9]+$ ]]", None),
            ("[ x$U = y ] && false", None),
        ],
    )
    def test_conditions(self, condition: str, truth: bool | None) -> None:
        """Followed when known, both branches when not."""
        read = read_script(f"A=8\nif {condition}; then yes; else no; fi\n")
        found = [(command.words[0].text, command.conditional) for command in read.commands]
        wanted = [("yes", True), ("no", True)] if truth is None else [("yes" if truth else "no", False)]
        assert [one for one in found if one[0] != "nvidia-smi"] == wanted

    def test_unknown_branches(self) -> None:
        """Each branch sees what it sets; what was set before stays; the first value of a new variable is assumed."""
        read = read_script("O=a\nif [ $M = 7b ]; then H=1; O=b; x $H $O; else H=2; x $H; fi\ny $H $O\n")
        assert [texts(command) for command in read.commands] == [["x", "1", "b"], ["x", "2"], ["y", "1", "a"]]
        assert read.ignored == ((2, "not known: [ $M = 7b ]; assumed H=1; left out O=b, H=2"),)

    def test_case(self) -> None:
        """Patterns, alternatives, the rest."""
        text = 'case {} in\n 7b|8b) H=4096;;\n "70b") H=8192;;\n l*) H=1;;\n *) H=2;;\nesac\nx $H\n'
        assert [words(text.format(size))[0] for size in ("8b", "70b", "llama", "q")] == ["4096", "8192", "1", "2"]
        assert [c.conditional for c in read_script("case $U in a) x;; *) y;; esac; z").commands] == [True, True, False]

    def test_loops(self) -> None:
        """Unrolled over what is known, read once over what is not."""
        assert argv("for i in 1 {2..3}; do x $i; done") == [["x", "1"], ["x", "2"], ["x", "3"]]
        assert argv("for ((i=0; i<6; i+=2)); do x $i; done") == [["x", "0"], ["x", "2"], ["x", "4"]]
        assert argv("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i -eq 2 ] && continue; x $i; done") == [
            ["x", "1"],
            ["x", "3"],
        ]
        assert argv("for i in 1 2 3; do if [ $i = 2 ]; then break; fi; x $i; done") == [["x", "1"]]
        (command,) = read_script("for f in $(ls); do x $f; done").commands
        assert (texts(command), command.conditional) == (["x", "$f"], True)
        assert len(read_script("for i in $(seq 1 100); do x $i; done").commands) == 64

    def test_functions(self) -> None:
        """Read at the call, with arguments; local variables end with it."""
        text = 'f() { local a=$1; shift; B=$a; x "$a" "$#" "$@"; return; y; }\na=0\nf 1 "2 3"\nz $a $B\n'
        assert argv(text) == [["x", "1", "1", "2 3"], ["z", "0", "1"]]
        assert read_script("f() { x; }\ny\n").ignored == ((1, "function f is never called"),)

    def test_lists(self) -> None:
        """A command is taken to succeed, what stands behind || may run."""
        read = read_script("cd d && x || exit 1\n[ 1 = 2 ] && y\n(A=1; z $A); z $A\n")
        assert [(texts(c), c.conditional) for c in read.commands][:2] == [(["cd", "d"], False), (["x"], False)]
        assert [texts(command) for command in read.commands][2:] == [["z", "1"], ["z", "$A"]]

    def test_exit(self) -> None:
        """At the top it ends the script; behind a condition it is noted, and the script is read on."""
        assert argv("x; exit 0; y") == [["x"]]
        read = read_script('D=""\nif [ -z "$D" ]; then echo set D; exit 1; fi\nx\n')
        assert texts(read.commands[-1]) == ["x"]
        assert read.ignored == ((2, "exit was not followed; the script was read on"),)

    def test_environment(self) -> None:
        """Exported variables and those before the command."""
        read = read_script("export A=1 B=2\nC=3\nexport C\nD=4\nexport -n B; E=5 F=$A x\n")
        assert read.commands[0].environment["A"] == "1"
        assert {"C": "3", "E": "5", "F": "1"}.items() <= read.commands[0].environment.items()
        assert "D" not in read.commands[0].environment

    def test_nested_scripts(self) -> None:
        """eval, bash -c, ssh: the commands within, behind the words before them."""
        assert argv('A=\'x "a b"\'; eval $A; eval "$A"') == [["x", "a b"], ["x", "a b"]]
        assert argv("A=1; export B=2; srun -N 2 bash -lc 'x $A $B $0' n") == [["srun", "-N", "2", "x", "$A", "2", "$0"]]
        assert argv('A=1; ssh -p 22 node1 "cd d; x $A"') == [
            ["ssh", "-p", "22", "node1", "cd", "d"],
            ["ssh", "-p", "22", "node1", "x", "1"],
        ]
        assert argv("sbatch -N 2 --wrap='srun x'") == [["sbatch", "-N", "2", "srun", "x"]]

    def test_slurm(self) -> None:
        """Directives give the variables that Slurm would; others of it are not known, without directives not set."""
        head = "#!/bin/bash\n#SBATCH -N 4 --ntasks-per-node=8\n##SBATCH -N 9\n#SBATCH --gres=gpu:a100:8 # all\n"
        read = read_script(
            head + "x $SLURM_NNODES $SLURM_NTASKS $SLURM_GPUS_ON_NODE ${SLURM_PROCID:-0}\n#SBATCH -N 7\n"
        )
        assert texts(read.commands[0])[1:] == ["4", "32", "8", "${SLURM_PROCID:-0}"]
        assert read.directives == ("-N 4 --ntasks-per-node=8", "--gres=gpu:a100:8")
        assert argv("x ${SLURM_NNODES:-1}") == [["x", "1"]]


class TestDocuments:
    """Files that a script writes."""

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ('A=1\ncat > f.json <<EOF\n  {"a": $A}\nEOF\n', {"f.json": '  {"a": 1}\n'}),
            ("A=1\ncat <<'EOF' > f.json\n{\"a\": $A}\nEOF\n", {"f.json": '{"a": $A}\n'}),
            ("tee f.json <<-EOF\n\t{\\$a `x` $((1+1))}\n\tEOF\n", {"f.json": "{$a `x` 2}\n"}),
            ("cat <<EOF | tee f.json\n{}\nEOF\n", {"f.json": "{}\n"}),
            ('N=n1\necho "$N slots=8" > h\necho n2 >> h\n', {"h": "n1 slots=8\nn2\n"}),
            ("D=d\ncat > $D/f.yaml <<EOF\na: 1\n\nb: 2\nEOF\n", {"d/f.yaml": "a: 1\n\nb: 2\n"}),
            ("python - <<EOF\nimport os\nEOF\necho 1 > /dev/null\n", {}),
        ],
    )
    def test_written(self, text: str, wanted: dict[str, str]) -> None:
        """By here-documents and echo."""
        assert read_script(text).documents == wanted

    def test_a_shell_reads_one(self) -> None:
        """bash <<EOF runs what is in it."""
        assert argv("A=1\nbash <<EOF\nx $A\nEOF\n")[-1] == ["x", "1"]

    def test_commands_behind_a_document(self) -> None:
        """On the line that opens it."""
        assert argv("cat <<EOF > f && x a\nb\nEOF\n")[-1] == ["x", "a"]


class TestLauncher:
    """Programs behind launchers."""

    @pytest.mark.parametrize(
        ("text", "program", "nodes", "per_node"),
        [
            ("torchrun --nnodes=4 --nproc-per-node 8 --standalone t.py --a", "t.py", 4, 8),
            ("torchrun --nnodes=1:4 --nproc_per_node=gpu -m pkg.train --a", "pkg.train", None, None),
            ("python3 -u -m torch.distributed.launch --nproc_per_node 4 --use_env t.py --a", "t.py", 1, 4),
            ("deepspeed --hostfile h --num_nodes 2 --num_gpus 8 --master_port=1 t.py --a", "t.py", 2, 8),
            ("deepspeed --include 'a:0,1@b:0,1' t.py --a", "t.py", 2, 2),
            ("accelerate launch --multi_gpu --num_machines 2 --num_processes 16 t.py --a", "t.py", 2, 8),
            ("srun -N4 --ntasks-per-node=8 -l python -u t.py --a", "t.py", 4, 8),
            ("srun --nodes 4 -n 32 python t.py --a", "t.py", 4, 8),
            ("srun -N 4 --ntasks-per-node 1 torchrun --nnodes 4 --nproc_per_node 8 t.py --a", "t.py", 4, 8),
            ("mpirun -np 16 -npernode 8 -x PATH --allow-run-as-root python t.py --a", "t.py", None, 8),
            (
                "CUDA_VISIBLE_DEVICES=0 nohup env A=1 numactl -l nsys profile -o o -t cuda python t.py --a",
                "t.py",
                None,
                None,
            ),
            ("singularity exec --nv -B /d img.sif torchrun --nproc_per_node 2 t.py --a", "t.py", 1, 2),
            (
                "docker run --rm --gpus all -v a:b image bash -c 'cd d && torchrun --nproc_per_node 8 t.py --a'",
                "t.py",
                1,
                8,
            ),
            ("sbatch -N 2 --wrap 'torchrun --nnodes 2 --nproc_per_node 8 t.py --a'", "t.py", 2, 8),
            ("uv run python mason.py --num_nodes 2 --gpus 8 -- torchrun --nproc_per_node 8 t.py --a", "t.py", 1, 8),
            ("bash run.sh --a", "run.sh", None, None),
            ("exec ./t --a", "./t", None, None),
        ],
    )
    @pytest.mark.parametrize("whole", [True, False])
    def test_launches(self, text: str, program: str, nodes: int | None, per_node: int | None, whole: bool) -> None:
        """From a script and from one bare line."""
        command = read_script(text).commands[-1] if whole else read_arguments(text)
        found = strip_launcher(command)
        assert (found.program, found.nodes, found.per_node) == (program, nodes, per_node)
        assert [word.text for word in found.words] == ["--a"]

    def test_environment(self) -> None:
        """What env sets is seen too."""
        assert strip_launcher(read_script("A=1 env B=2 python t.py").commands[0]).environment == {"A": "1", "B": "2"}


class TestArguments:
    """Bare flags."""

    @pytest.mark.parametrize(
        "text",
        ["--a 1 --b 'x y'\n", "--a 1 \\\n  --b 'x y' # no\n", "--a 1\n--b 'x y'\n", '\n# top\n--a\n1\n--b "x y"'],
    )
    def test_forms(self, text: str) -> None:
        """One line or many."""
        assert texts(read_arguments(text)) == ["--a", "1", "--b", "x y"]

    def test_lines_and_unknowns(self) -> None:
        """As in a script."""
        command = read_arguments("--a 1\n--b $N\n")
        assert [(word.line, word.unknown) for word in command.words][2:] == [(2, ()), (2, ("N",))]

    @given(
        st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30), max_size=5)
    )
    @settings(max_examples=150, deadline=None)
    def test_quoting_round_trip(self, given: list[str]) -> None:
        """What shlex quotes is read back, bare and in a script."""
        line = " ".join(shlex.quote(text) for text in given)
        assert texts(read_arguments(line + "\n ")) == given
        assert argv(f"x {line}\ny\n") == [["x", *given], ["y"]]


HOSTILE = {
    "fork bomb": ":(){ :|:& };:\n",
    "recursion": "f(){ f; f; }\nf\n",
    "arguments": "f(){ f $@ $@; }\nf a\n",
    "doubling": "A=xx\n" + 'A="$A$A"\n' * 100,
    "doubling array": "A=(x x)\n" + 'A+=("${A[@]}")\n' * 100,
    "eval": 'A=\'eval "$A"; eval "$A"\'\neval "$A"\n',
    "bash -c": 'export A=\'bash -c "$A"\'\nbash -c "$A"\n',
    "loops": "for a in {1..64}; do " * 6 + "echo $a" + "; done" * 6,
    "while": "while true; do " * 5 + "x" + "; done" * 5,
    "power": "A=$((9**9**9)); B=$((1<<99999)); C=$((1/0)); D=$((2**63-1))\n",
    "parentheses": "echo $((" + "(" * 500 + "1" + ")" * 500 + "))\n",
    "braces": "echo {1..999999} {1..4000}{1..4000}\n" * 50,
    "pairs of braces": "echo " + "{1..9}" * 30_000,
    "closing parentheses": ")" * 200_000,
    "empty subshells": "()" * 100_000,
    "redirections": ">" * 200_000,
    "old arithmetic": "echo " + "$[" * 90_000,
    "continued lines": "echo a " + "\\\n" * 90_000,
    "a directive of blanks": "#SBATCH " + " " * 190_000 + "x",
    "glob": "A=" + "a" * 3000 + "\n" + "B=${A%%*a*a*a*b}\n" * 300,
    "open groups": "echo " + "$(" * 40_000,
    "open braces": "${" * 50_000,
    "backticks": "echo " + "`" * 100_000,
    "if": "if [ $x = 1 ]; then\n" * 3000,
    "elements": "A=()\n" + "A+=(x)\n" * 20_000,
    "variables": "".join(f"A{i}={i}\n" for i in range(4000)) + "if [ $x = 1 ]; then b; fi\n" * 4000,
    "one line of a document": "cat <<A > f\n" + "$x ${y} `z` " * 12_000 + "\nA\n",
    "documents": "cat <<A\n" * 20_000,
}


class TestHostile:
    """Nothing is run, nothing takes long, nothing but PlannerError comes out."""

    def seconds(self, text: str) -> float:
        """The processor's time to read or refuse a text."""
        start = time.process_time()
        try:
            read_script(text)
        except PlannerError as refused:
            assert str(refused)
        return time.process_time() - start

    @pytest.mark.parametrize("name", HOSTILE)
    def test_ends(self, name: str) -> None:
        """A second at most on an idle machine, hours if something blew up."""
        assert self.seconds(HOSTILE[name]) < 20

    def test_eight_megabytes(self) -> None:
        """Refused."""
        assert self.seconds("torchrun --a 1\n" * 550_000) < 20

    @pytest.mark.parametrize("text", ["a\0b", "x" * 300_000])
    def test_refused(self, text: str) -> None:
        """With a reason."""
        with pytest.raises(PlannerError):
            read_script(text)

    @given(st.text(string.printable, max_size=300) | st.text("$(){}[]\"'`\\;|&<>#!=+*?@ \nabif", max_size=120))
    @settings(max_examples=300, deadline=2000)
    def test_garbage(self, text: str) -> None:
        """Random text, and random syntax."""
        for read in (read_script, read_arguments):
            try:
                read(text)
            except PlannerError as refused:
                assert str(refused)

    def test_nothing_is_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No process is started and no file is made, removed or opened."""

        def forbidden(*_: object, **__: object) -> None:
            raise AssertionError("something was run")

        kept = tmp_path / "kept"
        kept.write_text("x", encoding="utf-8")
        read_script("x")  # the grammar is loaded
        for module, name in ((os, "system"), (os, "popen"), (os, "execv"), (os, "posix_spawn"), (subprocess, "Popen")):
            monkeypatch.setattr(module, name, forbidden)
        monkeypatch.setattr("builtins.open", forbidden)
        mark = f"touch {tmp_path}/mark"
        read_script(
            f"rm -rf {tmp_path}/*\n{mark}\nA=$({mark})\nB=`{mark}`\necho $({mark}) > {tmp_path}/mark\neval '{mark}'\n"
            f"bash -c '{mark}'\ncat <<EOF > {tmp_path}/mark\n$({mark})\nEOF\nsource {tmp_path}/kept\n"
            f"x <({mark}) ${{A:-$({mark})}} $(( $({mark}) ))\ntrap '{mark}' EXIT\n: > {tmp_path}/kept\n"
        )
        monkeypatch.undo()
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]
        assert kept.read_text(encoding="utf-8") == "x"
