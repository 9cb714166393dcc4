<?php

declare(strict_types=1);

namespace Acme\Phrasebook;

final class Phrasebook
{
    private const SALUTATIONS = [
        'de' => 'Hallo',
        'en' => 'Hello',
        'fr' => 'Bonjour',
        'nl' => 'Hallo',
        'sw' => 'Habari',
    ];

    /** @throws \InvalidArgumentException for a language that is not in the book */
    public function salutation(string $language): string
    {
        return self::SALUTATIONS[$language]
            ?? throw new \InvalidArgumentException("no salutation in language '$language'");
    }
}
