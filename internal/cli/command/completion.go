package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// shells gives the shells with completion, and how each is written.
func shells() map[string]func([]*cli.Command) string {
	return map[string]func([]*cli.Command) string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
}

func completionCommand(env Env, do Actions) *cli.Command {
	return &cli.Command{
		Name: "completion", Category: selfGroup, Usage: "print the completion script of a shell: bash, zsh or fish",
		ArgsUsage: "bash | zsh | fish", HideHelpCommand: true,
		Action: func(cc *cli.Context) error {
			write, ok := shells()[cc.Args().First()]
			if !ok || cc.Args().Len() != 1 {
				return usage{fault.New("completion takes the name of a shell").Fix("%s completion bash, zsh or fish", Program)}
			}
			_, err := fmt.Fprint(env.Out, write(Table(env, do)))
			return err
		},
	}
}

// wordsOf lists what may follow a command: its subcommands and flags.
func wordsOf(c *cli.Command) []string {
	var words []string
	for _, sub := range c.Subcommands {
		words = append(words, sub.Name)
	}
	for _, f := range c.Flags {
		words = append(words, "--"+f.Names()[0])
	}
	if c.Name == "completion" {
		words = append(words, "bash", "zsh", "fish")
	}
	return words
}

func namesOf(table []*cli.Command) []string {
	names := make([]string, len(table))
	for i, c := range table {
		names[i] = c.Name
	}
	return names
}

// kubectl completes itself: it prints "word<tab>meaning" lines and then ":number".
const kubectlWords = `2>/dev/null | sed -e '/^:[0-9]*$/d' -e 's/	.*//'`

func bashScript(table []*cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion of %[1]s; load it with: source <(%[1]s completion bash)\n", Program)
	b.WriteString("_skerry() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=\n")
	b.WriteString("\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n")
	fmt.Fprintf(&b, "\t\twords='%s'\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", strings.Join(namesOf(table), " "))
	fmt.Fprintf(&b, "\t\tkubectl) words=$(%s kubectl __complete \"${COMP_WORDS[@]:2:COMP_CWORD-1}\" %s) ;;\n", Program, kubectlWords)
	for _, c := range table {
		if words := wordsOf(c); len(words) > 0 {
			fmt.Fprintf(&b, "\t\t%s) words='%s' ;;\n", c.Name, strings.Join(words, " "))
		}
	}
	b.WriteString("\t\tesac\n\t\t[ \"$COMP_CWORD\" -eq 2 ] || case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n")
	for _, c := range table {
		for _, sub := range c.Subcommands {
			fmt.Fprintf(&b, "\t\t'%s %s') words='%s' ;;\n", c.Name, sub.Name, strings.Join(wordsOf(sub), " "))
		}
	}
	b.WriteString("\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n")
	fmt.Fprintf(&b, "complete -o default -F _skerry %s\n", Program)
	return b.String()
}

func zshScript(table []*cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion of %[1]s; load it with: source <(%[1]s completion zsh)\n", Program)
	b.WriteString("_skerry() {\n\tlocal -a list\n\tif (( CURRENT == 2 )); then\n")
	fmt.Fprintf(&b, "\t\tlist=(%s)\n\telse\n\t\tcase $words[2] in\n", strings.Join(namesOf(table), " "))
	fmt.Fprintf(&b, "\t\tkubectl) list=(${(f)\"$(%s kubectl __complete \"${(@)words[3,CURRENT]}\" %s)\"}) ;;\n", Program, kubectlWords)
	for _, c := range table {
		if words := wordsOf(c); len(words) > 0 {
			fmt.Fprintf(&b, "\t\t%s) list=(%s) ;;\n", c.Name, strings.Join(words, " "))
		}
	}
	b.WriteString("\t\tesac\n\t\t(( CURRENT == 3 )) || case \"$words[2] $words[3]\" in\n")
	for _, c := range table {
		for _, sub := range c.Subcommands {
			fmt.Fprintf(&b, "\t\t'%s %s') list=(%s) ;;\n", c.Name, sub.Name, strings.Join(wordsOf(sub), " "))
		}
	}
	b.WriteString("\t\tesac\n\tfi\n\tif (( $#list )); then compadd -a list; else _files; fi\n}\n")
	fmt.Fprintf(&b, "compdef _skerry %s\n", Program)
	return b.String()
}

func fishScript(table []*cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %[1]s; load it with: %[1]s completion fish | source\n", Program)
	for _, c := range table {
		fmt.Fprintf(&b, "complete -c %s -f -n __fish_use_subcommand -a %s -d %s\n", Program, c.Name, fishQuote(c.Usage))
		seen := "__fish_seen_subcommand_from " + c.Name
		fishWords(&b, seen, c)
		for _, sub := range c.Subcommands {
			fishWords(&b, seen+"; and __fish_seen_subcommand_from "+sub.Name, sub)
		}
	}
	fmt.Fprintf(&b, "complete -c %[1]s -n '__fish_seen_subcommand_from kubectl' -a '(%[1]s kubectl __complete (commandline -opc)[3..] (commandline -ct) 2>/dev/null | string match -v -r \"^:\")'\n", Program)
	return b.String()
}

// fishWords offers what may follow a command, while seen says that it stands on the line.
func fishWords(b *strings.Builder, seen string, c *cli.Command) {
	for _, word := range wordsOf(c) {
		if !strings.HasPrefix(word, "--") {
			fmt.Fprintf(b, "complete -c %s -f -n '%s' -a %s\n", Program, seen, word)
		}
	}
	for _, f := range c.Flags {
		if setting, ok := f.(settingFlag); ok {
			fmt.Fprintf(b, "complete -c %s -n '%s' -l %s %s-d %s\n", Program, seen, setting.Key, fishOption(setting.Setting), fishQuote(setting.Help))
		}
	}
}

// fishOption is the short name, and whether a value follows.
func fishOption(s config.Setting) string {
	option := ""
	if s.Short != "" {
		option += "-s " + s.Short + " "
	}
	if !s.Switch {
		option += "-r "
	}
	return option
}

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
