" Vim syntax file
" Language: virt-rules(5), rules that give host devices to libvirt virtual machines

if exists('b:current_syntax')
  finish
endif

syntax case match
" The characters of a bare word, so that a keyword inside a longer word is not matched.
syntax iskeyword @,33,36-43,45-64,91,93-96,124,126,128-255

" The build fills in the words of each kind from lexer/words.def.
syntax keyword virtRulesStatement @STATEMENT@
syntax keyword virtRulesAction @VERB@
syntax keyword virtRulesQuantifier @QUANTIFIER@
syntax keyword virtRulesCriterion @CONDITION@ @BUS@ @CRITERION@
syntax keyword virtRulesBackend @MANNER@ @BACKEND@ @LONG_BACKEND@
syntax keyword virtRulesOption @OPTION@ @IN_OPTION@
syntax keyword virtRulesEvent @EVENT@

" Bare words with a special form.
syntax match virtRulesId /\<\%(\x\{4}\|\*\):\%(\x\{4}\|\*\)\>/
syntax match virtRulesAddress /\<\%([[:xdigit:]*?]\+:\)\?[[:xdigit:]*?]\+:[[:xdigit:]*?]\+\.[0-7*?]\>/
syntax match virtRulesAddress /\<\%(\x\{5,8}\|\%(\<at\s\+\)\@<=\x\{4}\):\*/
syntax match virtRulesPort /\<\d\+-\d\+\%(\.\d\+\)*\>/
syntax match virtRulesNumber /\<\d\+\%(ms\|s\|m\|h\)\?\>/

syntax match virtRulesEscape /\\["\\]/ contained
syntax region virtRulesString start=/"/ skip=/\\./ end=/"/ oneline contains=virtRulesEscape
syntax match virtRulesContinuation /\\\s*$/
syntax match virtRulesBrace /[{}]/
syntax match virtRulesComment /#.*$/ contains=virtRulesTodo,@Spell
syntax keyword virtRulesTodo TODO FIXME XXX contained

highlight default link virtRulesStatement Statement
highlight default link virtRulesAction Function
highlight default link virtRulesQuantifier Repeat
highlight default link virtRulesCriterion Label
highlight default link virtRulesBackend Type
highlight default link virtRulesOption PreProc
highlight default link virtRulesEvent Constant
highlight default link virtRulesId Identifier
highlight default link virtRulesAddress Identifier
highlight default link virtRulesPort Identifier
highlight default link virtRulesNumber Number
highlight default link virtRulesString String
highlight default link virtRulesEscape SpecialChar
highlight default link virtRulesContinuation Special
highlight default link virtRulesBrace Delimiter
highlight default link virtRulesComment Comment
highlight default link virtRulesTodo Todo

let b:current_syntax = 'virt-rules'
