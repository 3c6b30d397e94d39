# Columns count characters: a tab is one, so is every character of UTF-8; a broken byte is '?'.
printf '\ton vm a\tstrated run "/x"\n' | virt-rules check -
printf 'on vm "Büro", "東京", "🎮" strated run "/x"\n' | virt-rules check -
printf 'on vm "B\374ro" strated run "/x"\n' | virt-rules check -
printf 'on vm a strat\303\251d run "/x"\n' | virt-rules check -
printf 'on vm a \033[31mred run "/x"\n' | virt-rules check -
printf 'on vm "\033]0;title\007" strated run "/x"\n' | virt-rules check -
